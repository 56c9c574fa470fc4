"""Batches, targets, losses and outputs of every form that users pass."""

from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from .entry import SIZES, Case, Entry, ce, images, labels, mlp, mse, regression, then

Item = namedtuple("Item", "x extra")
Pair = namedtuple("Pair", "input label")


def two_tasks(pack: Callable[[Tensor, Tensor], Any], take: Callable[[Any, int], Tensor], **more: Any) -> Case:
    def loss(z: Tensor, y: Any) -> Tensor:
        return ce(z[:, :2], take(y, 0)) + 0.5 * ce(z[:, 2:], take(y, 1))

    batches = [(torch.randn(n, 5), pack(torch.randint(2, (n,)), torch.randint(2, (n,)))) for n in SIZES]
    return Case(mlp(5, 4, 4), loss, batches, **more)


def in_tuple() -> Case:
    return two_tasks(lambda a, b: (a, b), lambda y, which: y[which])


def in_dict() -> Case:
    return two_tasks(lambda a, b: {"first": a, "second": b}, lambda y, which: list(y.values())[which])


def scalar(loss: Callable[..., Tensor], singly: Callable[..., Tensor], absent: bool = False) -> Callable[[], Case]:
    """A loss that returns one number; ``singly`` its values, example by example, of which the whole is the mean."""

    def make() -> Case:
        batches = images(5, sizes=(4, 3, 2))
        if absent:
            batches[0][1][:2] = -100
        return Case(mlp(), loss, batches, score=lambda z, batch: singly(z, batch[1]))

    return make


def items(make: Callable[[Tensor, Tensor], Any], **more: Any) -> Callable[[], Case]:
    """Batches as ``make`` packs inputs and labels; the twin has them in its hands."""

    def built() -> Case:
        plainly = images(5)
        return Case(mlp(), ce, [make(x, y) for x, y in plainly], truth=plainly, **more)

    return built


class Squares(Dataset):
    """A map-style data set whose items are computed."""

    def __init__(self) -> None:
        self.x = torch.randn(9, 5)

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], index % 3


def loader(**more: Any) -> Case:
    data = Squares()
    truth = [(data.x, torch.arange(9) % 3)]
    return Case(mlp(), ce, DataLoader(data, batch_size=4, **more), truth=truth)


def dataset() -> Case:
    data = TensorDataset(torch.randn(9, 5), torch.randint(3, (9,)))
    return Case(mlp(), ce, data, truth=[data.tensors])


class Tokens(nn.Module):
    """As Hugging Face lays models out: named tensors in, labels among them; an output with names."""

    def __init__(self, kind: str):
        super().__init__()
        self.words, self.out, self.kind = nn.Embedding(6, 3), nn.Linear(3, 3), kind

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        seen = self.words(input_ids)
        mask = torch.ones(input_ids.shape, dtype=seen.dtype) if attention_mask is None else attention_mask.to(seen)
        hidden = (torch.tanh(seen) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        logits = self.out(hidden)
        if self.kind == "tuple":
            return logits, hidden
        return (Output if self.kind == "attributes" else OrderedDict)(logits=logits, hidden=hidden)


class Output(OrderedDict):
    """A mapping whose entries are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def hugging(kind: str, wrap: type) -> Callable[[], Case]:
    def logits(z: Any) -> Tensor:
        return z[0] if kind == "tuple" else z["logits"] if kind == "dict" else z.logits

    def make() -> Case:
        batches = []
        for y in labels():
            mask = (torch.rand(len(y), 4) < 0.7).long()
            mask[:, 0] = 1
            batches.append(wrap(input_ids=torch.randint(6, (len(y), 4)), attention_mask=mask, labels=y))
        return Case(
            Tokens(kind), lambda z, y: ce(logits(z), y), batches,
            plain=lambda model, batch: model(batch["input_ids"], batch["attention_mask"]),
            score=lambda z, batch: ce(logits(z), batch["labels"]),
            truth=[dict(batch) for batch in batches],
        )  # fmt: skip

    return make


def one_dict() -> Case:
    """The input is a dict that forward takes whole."""
    model = then(lambda s, x: s.net(x["x"] * x["scale"]), net=mlp())
    batches = [({"x": x, "scale": torch.rand(len(y), 1)}, y) for x, y in images(5)]
    return Case(model, ce, batches)


def one_tuple() -> Case:
    """The input is a named tuple that forward takes whole."""
    model = then(lambda s, item: s.net(item.x + item.extra), net=mlp())
    batches = [(Item(x, torch.rand(len(y), 1)), y) for x, y in images(5)]
    return Case(model, ce, batches)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.net(x + shift)


def several() -> Case:
    batches = [((x, torch.rand(len(y), 1)), y) for x, y in images(5)]
    return Case(Two(), ce, batches, plain=lambda model, batch: model(*batch[0]))


def by_forward() -> Case:
    """How the model is to be called, said by forward=; three things in a batch, sorted by unpack=."""
    batches = [(x, torch.rand(len(y), 1), y) for x, y in images(5)]
    keywords = {
        "unpack": lambda batch: ((batch[0], batch[1]), batch[2]),
        "forward": lambda model, inputs: model(inputs[0], shift=inputs[1]),
    }
    return Case(Two(), ce, batches, keywords, plain=lambda model, batch: model(batch[0], batch[1]),
                score=lambda z, batch: ce(z, batch[2]))  # fmt: skip


def sized() -> Case:
    """Targets that don't tell how many examples there are."""

    class Boxed:
        def __init__(self, y: Tensor):
            self.y = y

    batches = [(x, Boxed(y)) for x, y in images(5)]
    return Case(mlp(), lambda z, y: ce(z, y.y), batches, {"size": lambda batch: len(batch[0])})


def maps() -> Case:
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Conv2d(3, 3, 1))
    batches = [(torch.randn(n, 2, 3, 3), torch.randint(3, (n, 2, 2))) for n in SIZES]
    return Case(model, lambda z, y: ce(z, y).mean((1, 2)), batches)


def multilabel(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)


def plain(loss: Callable[..., Tensor], batches: Callable[[], Any], outputs: int = 3) -> Callable[[], Case]:
    return lambda: Case(mlp(5, 4, outputs), loss, batches())


def singles() -> list[tuple[Tensor, Tensor]]:
    return images(5, sizes=(1, 1, 2))


def soft() -> list[tuple[Tensor, Tensor]]:
    return [(x, torch.randn(len(y), 3).softmax(1)) for x, y in images(5)]


SHARES = torch.tensor([1.0, 5.0, 0.1], dtype=torch.float64)
NOT_MEAN = {"all": "refused: mean|reduction"}
# A mean of a batch has value and derivatives; whatever is told example by example has not.
ONE_NUMBER = dict.fromkeys(
    ("examples", "surface", "average", "worst", "second_difference"), "refused: example|reduction|mean"
)


def weighed(z: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(z, y, weight=SHARES, reduction=reduction)


T = "target"
ENTRIES = (
    Entry("two targets, tuple", T, in_tuple, half=True),
    Entry("two targets, dict", T, in_dict, half=True),
    Entry("several labels", T, plain(multilabel, lambda: [
        (torch.randn(n, 5), torch.randint(2, (n, 3)).to(torch.float64)) for n in SIZES])),
    Entry("regression to [B, 1]", T, plain(mse, lambda: regression(5), 1), half=True),
    Entry("regression to [B]", T, plain(lambda z, y: (z[:, 0] - y).abs(), lambda: [
        (x, y[:, 0]) for x, y in regression(5)], 1)),
    Entry("soft labels, smoothed", T, plain(lambda z, y: F.cross_entropy(
        z, y, reduction="none", label_smoothing=0.1), soft)),
    Entry("batches of one", T, plain(ce, singles)),
    Entry("a loss for every pixel", T, maps),
    Entry("mean of a batch", T, scalar(nn.CrossEntropyLoss(), ce), expects=ONE_NUMBER, half=True),
    Entry("mean, weighed by class", T, scalar(weighed, ce), expects=NOT_MEAN, half=True),
    Entry("mean of those not ignored", T, scalar(nn.CrossEntropyLoss(), ce, absent=True), expects=NOT_MEAN),
    Entry("sum of a batch", T, scalar(lambda z, y: ce(z, y).sum(), ce), expects=NOT_MEAN, half=True),
    Entry("weighed by class, singly", T, plain(lambda z, y: weighed(z, y, "none"), lambda: images(5))),
    Entry("three items, unpacked", T, by_forward, half=True),
    Entry("three items, unsaid", T, items(lambda x, y: (x, y, y)), expects={"all": "refused: unpack|items|three|3"}),
    Entry("named tuple of a batch", T, items(Pair)),
    Entry("list of a batch", T, items(lambda x, y: [x, y])),
    Entry("several arguments", T, several, half=True),
    Entry("dict taken whole", T, one_dict),
    Entry("named tuple taken whole", T, one_tuple),
    Entry("dict batches, dict output", T, hugging("dict", dict), half=True),
    Entry("UserDict batches, named output", T, hugging("attributes", UserDict), half=True),
    Entry("UserDict batches, tuple output", T, hugging("tuple", UserDict)),
    Entry("target of unknown size", T, sized),
    Entry("loader", T, loader, half=True),
    Entry("data set", T, dataset, half=True),
    Entry("numpy", T, items(lambda x, y: (x.numpy(), np.asarray(y))), expects={"all": "either: tensor|numpy|array"}),
)  # fmt: skip
