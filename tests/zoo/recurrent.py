"""Recurrent networks, packed sequences among them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from .entry import SIZES, Case, Entry, ce, classifier, images, labels, then


class Last(nn.Module):
    """The readout of a recurrent layer's last output."""

    def __init__(self, layer: nn.Module, width: int):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x)[0][:, -1])


def recurrent(kind: Any, width: int = 3, **more: Any) -> Callable[[], Case]:
    return lambda: classifier(Last(kind(2, 3, batch_first=True, **more), width), shape=(4, 2))


class Looped(nn.Module):
    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell, self.out = cell, nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.out(state[0] if isinstance(state, tuple) else state)


class Packed(nn.Module):
    """A classifier of sequences of several lengths, from the last hidden state of each."""

    def __init__(self, kind: Any):
        super().__init__()
        self.layer, self.out = kind(2, 3), nn.Linear(3, 3)

    def forward(self, x: PackedSequence) -> Tensor:
        state = self.layer(x)[1]
        return self.out((state[0] if isinstance(state, tuple) else state)[0])


def one_by_one(model: Any, batch: Any) -> Tensor:
    """The packed sequences of a batch, each alone."""
    packed, _ = batch
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed)
    outputs = []
    for number, length in enumerate(lengths.tolist()):
        outputs.append(model.out(model.layer(padded[:length, number : number + 1])[0][-1, 0]))
    return torch.stack(outputs)


def packed(kind: Any) -> Callable[[], Case]:
    def make() -> Case:
        batches = []
        for y in labels():
            lengths = torch.randint(1, 5, (len(y),))
            x = torch.randn(4, len(y), 2)
            batches.append((pack_padded_sequence(x, lengths, enforce_sorted=False), y))
        return Case(Packed(kind), ce, batches, plain=one_by_one)

    return make


def recogniser() -> Case:
    """CTC: frames in, a label sequence out."""
    model = then(lambda s, x: F.log_softmax(s.out(torch.tanh(s.a(x))), -1), a=nn.Linear(2, 4), out=nn.Linear(4, 3))

    def loss(output: Tensor, target: Any) -> Tensor:
        symbols, lengths = target
        frames = torch.full((len(symbols),), output.shape[1])
        return F.ctc_loss(output.transpose(0, 1), symbols, frames, lengths, reduction="none")

    batches = [
        (torch.randn(size, 6, 2), (torch.randint(1, 3, (size, 2)), torch.randint(1, 3, (size,)))) for size in SIZES
    ]
    return Case(model, loss, batches)


def both_ways() -> Case:
    return classifier(Last(nn.GRU(2, 2, batch_first=True, bidirectional=True, num_layers=2), 4), shape=(3, 2))


def time_first() -> Case:
    """Inputs [time, batch, feature]: the example isn't the first dimension."""
    model = then(lambda s, x: s.out(s.layer(x)[0][-1]), layer=nn.GRU(2, 3), out=nn.Linear(3, 3))
    return Case(model, ce, [(x.transpose(0, 1).contiguous(), y) for x, y in images(4, 2)])


def tagger() -> Case:
    """A loss at every step of a sequence, averaged over the sequence."""
    model = then(lambda s, x: s.out(s.layer(x)[0]), layer=nn.LSTM(2, 3, batch_first=True), out=nn.Linear(3, 3))
    batches = [(torch.randn(size, 4, 2), torch.randint(3, (size, 4))) for size in SIZES]
    return Case(model, lambda z, y: ce(z.transpose(1, 2), y).mean(1), batches)


R = "recurrent"
SECOND = ("hessian", "gauss_newton", "remainder")
ENTRIES = (
    Entry("rnn", R, recurrent(nn.RNN), smooth=True),
    Entry("lstm", R, recurrent(nn.LSTM), half=True, smooth=True),
    Entry("lstm projected", R, recurrent(nn.LSTM, 2, proj_size=2)),
    Entry("gru", R, recurrent(nn.GRU)),
    Entry("gru both ways, deep", R, both_ways),
    Entry("gru time first", R, time_first),
    Entry("rnn cell", R, lambda: classifier(Looped(nn.RNNCell(2, 3, nonlinearity="relu")), shape=(3, 2))),
    Entry("lstm cell", R, lambda: classifier(Looped(nn.LSTMCell(2, 3)), shape=(3, 2))),
    Entry("gru cell", R, lambda: classifier(Looped(nn.GRUCell(2, 3)), shape=(3, 2))),
    Entry("lstm packed", R, packed(nn.LSTM), half=True),
    Entry("gru packed", R, packed(nn.GRU)),
    Entry("lstm tagger", R, tagger),
    # torch has no second derivative of its CTC loss.
    Entry("ctc", R, recogniser, expects=dict.fromkeys(SECOND, "refused: differentia")),
)
