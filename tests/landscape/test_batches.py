"""Batches as people have them are read as input, target and a number of examples, the same at every reading."""

import collections
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader, Dataset, TensorDataset

from landscape.evaluation import Batches, checksum, examples
from landscape.objective import Objective, Parameters
from landscape.surfaces import grid, random_direction, surface

X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(10) % 3
Pair = collections.namedtuple("Pair", "image label")
Inputs = collections.namedtuple("Inputs", "x mask")
CPU = torch.device("cpu")


def each(output: Any, target: Any) -> Tensor:
    return cross_entropy(output, target, reduction="none")


def linear() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Linear(4, 3).double()


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = linear()

    def forward(self, x, scale=1.0):
        return self.layer(x) * scale


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = linear()

    def forward(self, x, scale):
        return self.layer(x) * scale


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = linear()

    def forward(self, inputs):
        return self.layer(inputs["x"])


class Examples(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"x": X[index], "labels": Y[index]}


RIGHT = float(cross_entropy(linear()(X), Y).detach())
CUTS = (slice(0, 7), slice(7, 10))
SHAPES: dict[str, tuple[type[nn.Module], list[Any]]] = {
    "pairs": (Named, [(X[c], Y[c]) for c in CUTS]),
    "lists": (Named, [[X[c], Y[c]] for c in CUTS]),
    "named tuples": (Named, [Pair(X[c], Y[c]) for c in CUTS]),
    "dicts": (Named, [{"x": X[c], "labels": Y[c]} for c in CUTS]),
    "dicts with more": (Named, [{"x": X[c], "scale": torch.ones(1).double(), "label": Y[c]} for c in CUTS]),
    "UserDicts": (Named, [collections.UserDict(x=X[c], labels=Y[c]) for c in CUTS]),
    "a dict of arguments": (Both, [({"x": X[c], "scale": 1.0}, Y[c]) for c in CUTS]),
    "a tuple of arguments": (Both, [((X[c], 1.0), Y[c]) for c in CUTS]),
    "a named tuple of arguments": (Both, [(Inputs(X[c], 1.0), Y[c]) for c in CUTS]),
    "a dict as the one argument": (Whole, [({"x": X[c], "mask": None}, Y[c]) for c in CUTS]),
    "NumPy arrays": (Named, [(X[c].numpy(), Y[c].numpy()) for c in CUTS]),
    "NumPy arrays in dicts": (Named, [{"x": X[c].numpy(), "labels": Y[c].numpy()} for c in CUTS]),
    "sparse tensors": (Named, [(X[c].to_sparse(), Y[c]) for c in CUTS]),
    "sparse rows": (Named, [(X[c].to_sparse_csr(), Y[c]) for c in CUTS]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_batch_gives_the_same_loss_and_surface(name):
    build, batches = SHAPES[name]
    model = build()
    objective = Objective(model, each, batches)
    assert objective.value() == pytest.approx(RIGHT, rel=1e-12)
    assert objective.size == 10
    direction = random_direction(Parameters(model), seed=0)
    found = surface(model, lambda z, y: {"loss": each(z, y)}, batches, [direction], grid(-1.0, 1.0, 3))
    assert found.mean["loss"][1, 0] == pytest.approx(RIGHT, rel=1e-12)
    moved: Any = build()
    weights = Parameters(moved)
    weights.assign(weights.vector() + direction)
    layer = getattr(moved, "layer", moved)
    assert found.mean["loss"][2, 0] == pytest.approx(float(cross_entropy(layer(X), Y).detach()), rel=1e-12)


@pytest.mark.parametrize(
    "source",
    [
        TensorDataset(X, Y),
        Examples(),
        DataLoader(TensorDataset(X, Y), batch_size=4),
        DataLoader(Examples(), batch_size=4),
        DataLoader(TensorDataset(X, Y), batch_size=4, num_workers=1),
    ],
    ids=["dataset", "dataset of dicts", "loader", "loader of dicts", "loader with a worker"],
)
def test_datasets_and_loaders_are_taken_as_they_are(source):
    assert Objective(Named(), each, source).value() == pytest.approx(RIGHT, rel=1e-12)


@pytest.mark.parametrize(
    ("batch", "said", "line"),
    [
        ((X, Y, Y), r"holds 3 things \(Tensor \[10, 4\], Tensor \[10\], Tensor \[10\]\)", "(batch[0], batch[2])"),
        (X, r"Tensor \[10, 4\] and has no target", "(batch, batch)"),
        ({"x": X, "z": Y}, "mapping with 'x', 'z' in it, of which none may be the target", "batch['z']"),
        ({"x": X, "y": Y, "label": Y}, "several may be the target", "batch['label']"),
        ("text", "a str and has no target", "(batch, batch)"),
    ],
)
def test_what_cant_be_guessed_is_refused_with_the_line_to_write(batch, said, line):
    with pytest.raises(ValueError, match=said) as refused:
        Objective(linear(), each, [batch])
    assert f"lambda batch: {line}" in str(refused.value) or line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.__notes__[0].startswith("unpack=lambda batch: (")


def test_told_how_to_read_them_all_are_read():
    index = torch.arange(10)
    batches = [(index[c], X[c], Y[c]) for c in CUTS]
    objective = Objective(linear(), each, batches, unpack=lambda batch: (batch[1], batch[2]))
    assert objective.value() == pytest.approx(RIGHT, rel=1e-12)
    half = Objective(linear(), each, [(X, Y)], forward=lambda model, x: model(2 * x) / 2)
    assert half.value() == pytest.approx(float(cross_entropy(linear()(2 * X) / 2, Y)), rel=1e-12)


def test_arguments_that_have_defaults_are_found_by_trying():
    assert Objective(Named(), each, [((X, 1.0), Y)]).value() == pytest.approx(RIGHT, rel=1e-12)
    assert Objective(Named(), each, [({"x": X}, Y)]).value() == pytest.approx(RIGHT, rel=1e-12)


def test_a_model_that_does_not_take_its_input_is_refused_with_the_line_to_write():
    with pytest.raises(ValueError, match=r"fails on a batch.*forward=lambda model, inputs: model\(\*inputs\)"):
        Objective(linear(), each, [((X, X), Y)])
    with pytest.raises(ValueError, match=r"takes pixels, size: forward=lambda model, inputs: model\(inputs\['pix"):
        Objective(Named(), each, [{"pixels": X, "size": Y, "labels": Y}])
    with pytest.raises(ValueError, match=r"Its input is torch.float32, its weights are torch.float64"):
        Objective(linear(), each, [(X.float(), Y)])


def test_packed_sequences_go_through_and_count_by_their_targets():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(2, 3), nn.Linear(3, 2)

        def forward(self, sequences: PackedSequence):
            return self.out(self.lstm(sequences)[1][0][0])

    torch.manual_seed(0)
    model = Reader()
    data = [torch.randn(length, 2) for length in (5, 4, 2, 1)]
    labels = torch.tensor([0, 1, 1, 0])
    batches = [(pack_sequence(data[:3]), labels[:3]), (pack_sequence(data[3:]), labels[3:])]
    whole = float(cross_entropy(model(pack_sequence(data)), labels))
    assert Objective(model, each, batches).value() == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    ("target", "count"),
    [
        (torch.zeros(5), 5),
        ((torch.zeros(5), torch.zeros(5, 2)), 5),
        ([torch.zeros(5), torch.zeros(5)], 5),
        ({"a": torch.zeros(5), "b": torch.zeros(5, 3)}, 5),
        (Pair(torch.zeros(5), torch.zeros(5)), 5),
        (np.zeros(5), 5),
        ([1, 2, 3], 3),
        ([{"boxes": torch.zeros(2, 4)}, {"boxes": torch.zeros(2, 4)}, {"boxes": torch.zeros(2, 4)}], 3),
    ],
)
def test_examples_are_counted_by_the_tensors_in_the_target(target, count):
    assert examples(torch.zeros(9, 9), target) == count


def test_without_a_target_inputs_are_counted_and_where_lengths_differ_the_caller_is_asked():
    assert examples({"x": torch.zeros(4, 2), "mask": torch.zeros(4)}, None) == 4
    with pytest.raises(ValueError, match=r"how many examples.*\[5\], \[3\].*size=lambda batch"):
        examples(torch.zeros(5), (torch.zeros(5), torch.zeros(3)))
    with pytest.raises(ValueError, match="how many examples"):
        examples(None, torch.zeros(()))
    batches = [(X[c], (Y[c], torch.zeros(3))) for c in CUTS]
    objective = Objective(linear(), lambda z, y: each(z, y[0]), batches, size=lambda batch: len(batch[0]))
    assert objective.value() == pytest.approx(RIGHT, rel=1e-12)


@pytest.mark.parametrize("batches", [X, {"x": X}, "abc"])
def test_what_is_no_collection_of_batches_is_refused(batches):
    with pytest.raises(ValueError, match="batches must be a loader, a Dataset or a list"):
        Objective(linear(), each, batches)


class Source:
    """Yields what ``make(reading)`` makes at each reading."""

    def __init__(self, make):
        self.make, self.reading = make, 0

    def __iter__(self):
        self.reading += 1
        return iter(self.make(self.reading))


def shuffled(reading: int) -> list[tuple[Tensor, Tensor]]:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(reading))
    return [(X[order[c]], Y[order[c]]) for c in CUTS]


def within(reading: int) -> list[tuple[Tensor, Tensor]]:
    """Another order of the second batch alone."""
    order = torch.roll(torch.arange(3), reading)
    return [(X[:7], Y[:7]), (X[7:][order], Y[7:][order])]


def augmented_late(reading: int) -> list[tuple[Tensor, Tensor]]:
    return [(X[:7], Y[:7]), (X[7:] + 1e-3 * reading, Y[7:])]


@pytest.mark.parametrize(("make", "said"), [(shuffled, "shuffles"), (within, "shuffles"), (augmented_late, "augments")])
def test_a_source_that_yields_something_else_is_refused_at_whichever_batch_it_shows(make, said):
    with pytest.raises(ValueError, match=said):
        Objective(linear(), each, Source(make)).value()
    model = linear()
    with pytest.raises(ValueError, match=said):
        surface(
            model, lambda z, y: {"loss": each(z, y)}, Source(make), [torch.ones(15).double()], grid(-1.0, 1.0, 3)
        )  # fmt: skip


def test_labels_alone_drawn_anew_are_seen():
    with pytest.raises(ValueError, match=r"augments|shuffles"):
        Objective(linear(), each, Source(lambda reading: [(X, (Y + reading) % 3)])).value()


def test_batches_that_were_changed_for_good_are_taken_as_they_are_now():
    x = X.clone()
    batches = [(x[:7], Y[:7]), (x[7:], Y[7:])]
    objective = Objective(linear(), each, batches)
    x.mul_(2)
    expected = pytest.approx(float(cross_entropy(linear()(2 * X), Y)), rel=1e-12)
    assert objective.value() == expected
    assert objective.value() == expected


def test_unwatched_batches_are_not_compared():
    assert Objective(linear(), each, Source(shuffled), check=False).value() == pytest.approx(RIGHT, rel=1e-12)


def test_a_checksum_sees_every_bit_every_order_and_every_shape():
    one = torch.arange(6.0)
    different = [
        one.flip(0), one.view(2, 3), one.double(), one + 1e-6 * (one == 5), one.to_sparse(), (one, one), {"a": one},
        one.to(torch.complex64), -one, torch.zeros(6), one[:0], (one, "a"), (one, 1),
    ]  # fmt: skip
    sums = [checksum(value) for value in [one, *different]]
    assert len(set(sums)) == len(sums)
    assert checksum(one.clone()) == checksum(one) == checksum(torch.stack([one, one], 1)[:, 0])


@dataclasses.dataclass
class Graph:
    nodes: Tensor
    edges: Tensor


def test_the_tensors_of_a_data_class_are_found_and_moved():
    batches = Batches([(Graph(X, Y), Y)], device=CPU)
    (batch,) = batches
    assert batch.size == 10
    assert torch.equal(batch.inputs.nodes, X)
