"""Attention, encoders and decoders."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .entry import Case, Entry, ce, classifier, labels, lively, then, tokens

SECOND = ("hessian", "gauss_newton", "remainder")
FUSED = dict.fromkeys(SECOND, "either: sdpa|fused|attention")


def mathematical(model: Any, batch: Any) -> Any:
    """The pass with attention in plain operations."""
    with sdpa_kernel(SDPBackend.MATH):
        return model(batch[0])


def together(model: Any, batch: Any) -> Any:
    with sdpa_kernel(SDPBackend.MATH):
        return model(*batch[0])


def heads(weights: bool, **more: Any) -> Case:
    def put(s: Any, x: Tensor) -> Tensor:
        return s.out(s.mix(x, x, x, need_weights=weights, **more)[0].mean(1))

    model = then(put, mix=nn.MultiheadAttention(4, 2, batch_first=True), out=nn.Linear(4, 3))
    return classifier(model, shape=(3, 4), plain=mathematical)


def time_first() -> Case:
    def put(s: Any, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        return s.out(s.mix(x, x, x)[0].mean(0))

    model = then(put, mix=nn.MultiheadAttention(4, 2, add_bias_kv=True), out=nn.Linear(4, 3))
    return classifier(model, shape=(3, 4))


def padded() -> Case:
    """Keys that don't count, as a second argument."""

    def put(s: Any, x: Tensor, absent: Tensor) -> Tensor:
        mixed, _ = s.mix(x, x, x, key_padding_mask=absent)
        return s.out(mixed.mean(1))

    model = then(put, mix=nn.MultiheadAttention(4, 2, batch_first=True, kdim=4), out=nn.Linear(4, 3))
    batches = []
    for y in labels():
        absent = torch.rand(len(y), 4) < 0.4
        absent[:, 0] = False
        batches.append(((torch.randn(len(y), 4, 4), absent), y))
    return Case(lively(model), ce, batches, plain=together)


def encoder() -> Case:
    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, dropout=0.1)
    model = then(lambda s, x: s.out(s.body(x).mean(1)), body=nn.TransformerEncoder(layer, 2), out=nn.Linear(4, 3))
    return classifier(model, shape=(3, 4), plain=mathematical)


def decoder() -> Case:
    def put(s: Any, x: Tensor, memory: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return s.out(s.body(x, memory, tgt_mask=mask)[:, -1])

    layer = nn.TransformerDecoderLayer(4, 2, 6, batch_first=True, norm_first=True)
    model = then(put, body=nn.TransformerDecoder(layer, 1), out=nn.Linear(4, 3))
    batches = [((torch.randn(len(y), 3, 4), torch.randn(len(y), 2, 4)), y) for y in labels()]
    return Case(lively(model), ce, batches, plain=together)


def translator() -> Case:
    """torch's Transformer on token pairs (source, target so far); the loss is of the next token at every place."""

    def put(s: Any, source: Tensor, sofar: Tensor) -> Tensor:
        return s.out(s.body(s.words(source), s.words(sofar)))

    body = nn.Transformer(4, 2, 1, 1, 6, batch_first=True)
    model = then(put, words=nn.Embedding(5, 4), body=body, out=nn.Linear(4, 5))
    batches = [
        ((torch.randint(5, (len(y), 3)), torch.randint(5, (len(y), 2))), torch.randint(5, (len(y), 2)))
        for y in labels()
    ]
    return Case(lively(model), lambda z, y: ce(z.transpose(1, 2), y).mean(1), batches, plain=together)


class Seq2Seq(nn.Module):
    """An LSTM encoder, additive attention, a GRU decoder that is told the true past."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.encoder = nn.Embedding(5, 3), nn.LSTM(3, 3, batch_first=True)
        self.cell, self.score, self.out = nn.GRUCell(6, 3), nn.Linear(6, 1), nn.Linear(3, 5)

    def forward(self, source: Tensor, sofar: Tensor) -> Tensor:
        seen, (state, _) = self.encoder(self.words(source))
        hidden, outputs = state[0], []
        for word in self.words(sofar).unbind(1):
            pairs = torch.cat([seen, hidden[:, None].expand_as(seen)], -1)
            share = self.score(torch.tanh(pairs)).softmax(1)
            hidden = self.cell(torch.cat([word, (share * seen).sum(1)], -1), hidden)
            outputs.append(self.out(hidden))
        return torch.stack(outputs, 1)


def seq2seq() -> Case:
    batches = [
        ((torch.randint(5, (len(y), 3)), torch.randint(5, (len(y), 2))), torch.randint(5, (len(y), 2)))
        for y in labels()
    ]
    return Case(Seq2Seq(), lambda z, y: ce(z.transpose(1, 2), y).mean(1), batches, plain=together)


def sdpa() -> Case:
    """torch's fused attention, called by its function."""

    def put(s: Any, x: Tensor) -> Tensor:
        query, key, value = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in s.mix(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return s.out(mixed.transpose(1, 2).flatten(2).mean(1))

    model = then(put, mix=nn.Linear(4, 12), out=nn.Linear(4, 3))
    return classifier(model, shape=(3, 4), plain=mathematical)


def writer() -> Case:
    """A small language model: causal, tied embeddings, learned positions, a loss for each next token."""

    def put(s: Any, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=s.words.weight.dtype)
        hidden = s.body(s.words(x) + s.places(torch.arange(x.shape[1])), src_mask=mask, is_causal=True)
        return F.linear(hidden, s.words.weight)

    layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=True, activation="gelu")
    model = then(put, words=nn.Embedding(6, 4), places=nn.Embedding(4, 4), body=layer)
    batches = [(x, torch.roll(x, -1, 1)) for x, _ in tokens(4)]
    return Case(lively(model), lambda z, y: ce(z.transpose(1, 2), y).mean(1), batches, plain=mathematical)


A = "attention"
ENTRIES = (
    Entry("attention with its weights", A, lambda: heads(True), half=True),
    Entry("attention without its weights", A, lambda: heads(False), expects=FUSED),
    Entry("attention time first", A, time_first),
    Entry("attention padded", A, padded, half=True),
    Entry("transformer encoder", A, encoder, expects=FUSED),
    Entry("transformer decoder", A, decoder, expects=FUSED),
    Entry("transformer", A, translator, expects=FUSED),
    Entry("seq2seq with attention", A, seq2seq, half=True),
    Entry("sdpa", A, sdpa, expects=FUSED, half=True),
    Entry("language model, tied", A, writer, expects=FUSED),
)
