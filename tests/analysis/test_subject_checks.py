"""What a subject can't be is refused in one line before it is measured; what it is, is told apart by its digest."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from analysis import hessian, momentum, sharpness
from analysis.hessian import command as curvature
from analysis.momentum import command as streams
from analysis.subject import Spiking, Subject, subjects
from analysis.subject.spiking import check_fields
from analysis.subject.words import check_words
from models import train
from tests.own_file import own_file

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
DATA = TensorDataset(X, Y)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


class Around(nn.Module):
    """A network, and what is made of its output."""

    def __init__(self, change):
        super().__init__()
        self.inner, self.change = network(), change

    def forward(self, x):
        return self.change(self.inner(x))


class Detached(Around):
    def __init__(self):
        super().__init__(torch.Tensor.detach)


def eigenvalues(subject, **more):
    config = curvature.Config(quiet=True, images=16, chunk=8, density=False, radius=False, trace=False, **more)
    return hessian.run(config, [subject]).tables["hessian"].eigenvalue.to_numpy()


@pytest.mark.parametrize("label", [-100, -1, 3])
@pytest.mark.parametrize("time", [False, True])
def test_a_label_that_is_no_class_is_refused(label, time):
    labels = Y.clone()
    labels[3] = label
    change = (lambda y: torch.stack([y, 2 * y])) if time else (lambda y: y)
    with pytest.raises(ValueError, match=f"labels must be 0 … 2, the network has 3 outputs; got {min(label, 0)} … "):
        Subject(Around(change), train=TensorDataset(X, labels)).check()


def test_places_may_be_left_out():
    labels = torch.stack([Y, torch.full_like(Y, -100)], 1)
    subject = Subject(Around(lambda y: torch.stack([y, y], 1)), train=TensorDataset(X, labels))
    subject.check()
    value = subject.objective(subject.asked("ce")["ce"], subject.batches("train", None, 7)).value()
    assert value == pytest.approx(cross_entropy(subject.network.get_submodule("inner")(X), Y).item(), rel=1e-6)


def normalized(**how):
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, **how), nn.Linear(8, 3))


@pytest.mark.parametrize(
    "made", [lambda: Around(lambda y: y - y.mean(0)), lambda: normalized(track_running_stats=False)]
)
def test_losses_that_depend_on_the_other_examples_are_refused(made):
    with pytest.raises(ValueError, match="mixes the examples of a batch: the loss of example"):
        Subject(made(), train=DATA).check()


def test_how_much_the_losses_differ_is_said():
    made = Around(lambda y: y - y.mean(0))
    whole = cross_entropy(made(X[:8]), Y[:8], reduction="none")
    parts = torch.cat([cross_entropy(made(X[i : i + 4]), Y[i : i + 4], reduction="none") for i in (0, 4)])
    place = int((whole - parts).abs().argmax())
    said = rf"example {place} is {whole[place]:.4f}\d* in a batch of 8 and {parts[place]:.4f}"
    with pytest.raises(ValueError, match=said):
        Subject(made, train=DATA).check()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_losses_of_single_examples_pass(dtype):
    for made in (network(), normalized()):
        Subject(made, train=DATA).on("cpu", dtype).check()


def test_a_network_of_one_batch_size_is_not_asked_for_halves():
    def eight(y):
        if len(y) != 8:
            raise RuntimeError("eight at a time")
        return y

    Subject(Around(eight), train=DATA).check()


class Held:
    """A Dataset in all but its class, without an end to its __getitem__."""

    def __len__(self):
        return 40

    def __getitem__(self, place):
        return X[place % 40], Y[place % 40]


class Endless(IterableDataset):
    def __iter__(self):
        place = 0
        while True:
            yield X[place % 40], Y[place % 40]
            place += 1


class Uncounted(Dataset):
    def __getitem__(self, place):
        return X[place], Y[place]


class Ragged(Held, Dataset):
    def __getitem__(self, place):
        return X[place][: 1 + place % 3], Y[place]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda: ((X, Y) for _ in range(3)), "train data can be read only once: pass a list, a loader or a Dataset"),
        (lambda: iter(DataLoader(DATA, 8)), "train data can be read only once: pass a list, a loader or a Dataset"),
        (lambda: X, r"must be a Dataset, .* got Tensor \[40, 4\]"),
        (Uncounted, r"object of type 'Uncounted' has no len\(\)"),
        (Ragged, "can't be read as batches: RuntimeError: stack expects each tensor to be equal size"),
    ],
)
def test_data_that_can_t_be_read_are_one_line(source, said):
    with pytest.raises(ValueError, match=said) as refused:
        Subject(network(), train=source()).check()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("source", [Held, Endless])
def test_datasets_by_another_class_and_endless_ones_are_read_as_far_as_asked(source):
    expected = eigenvalues(Subject(network(), train=DATA))
    assert eigenvalues(Subject(network(), train=source())) == pytest.approx(expected, rel=1e-5)


def test_the_digest_is_of_all_batches_and_of_how_many_there_are():
    other = X.clone()
    other[-1] += 1
    many, changed = X.repeat(3, 1), torch.cat([X, X, other])
    kinds = [
        lambda x: TensorDataset(x, Y.repeat(3)),
        lambda x: [*zip(x.split(10), Y.repeat(3).split(10), strict=True)],
    ]
    for kind in kinds:
        one, same, two = (Subject(network(), train=kind(x)).sha256 for x in (many, many.clone(), changed))
        assert one == same != two
    longer, shorter = (Subject(network(), train=Repeated(count)).sha256 for count in (120, 80))
    assert longer != shorter


class Repeated(Held, Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count


def test_sparse_buffers_are_in_the_digest():
    def held(value, layout):
        made = network()
        made.register_buffer("mask", (torch.eye(3) * value).to_sparse(layout=layout))
        return Subject(made, train=DATA).sha256

    for layout in (torch.sparse_coo, torch.sparse_csr):
        assert held(1, layout) == held(1, layout) != held(2, layout)


def test_lazy_layers_are_refused_until_a_batch_has_passed():
    made = nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 3))
    subject = Subject(made, train=DATA)
    with pytest.raises(ValueError, match=r"'0\.weight' isn't made yet \(a lazy layer\): run one batch"):
        eigenvalues(subject)
    made(X)
    assert len(replace(subject).sha256) == 64


@pytest.mark.parametrize(
    "wrong",
    [{"neurons": value} for value in ("LIF", ("LIF",), True, (True,), nn.ReLU(), nn.ReLU, [nn.ReLU])]
    + [{"reset": 3}, {"timesteps": 4}],
)
def test_fields_of_spiking_are_checked(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"spiking\.{name} must be .*{name}=") as refused:
        check_fields(vars(Spiking()) | wrong)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("word", ["yes", True])
def test_spiking_is_no_word(word):
    with pytest.raises(ValueError, match=r"spiking must say how .* spiking=Spiking\(neurons=\(MyLIF,\)\)"):
        check_words(
            SimpleNamespace(network=network(), train=DATA, test=None, title="one", spiking=word, unpack=None, axis=0)
        )


def test_a_number_is_no_data():
    with pytest.raises(ValueError, match=r"subject one: its train data must be a Dataset, .* got a int \(5\)"):
        check_words(SimpleNamespace(network=network(), train=5, test=None, title="one", unpack=None))


def test_a_loss_without_a_gradient_is_one_line():
    for measure in (eigenvalues, flatness, momenta):
        with pytest.raises(ValueError, match="the loss has no gradient"):
            measure(Subject(Detached(), train=DATA))


def flatness(subject):
    config = sharpness.Config(quiet=True, images=16)
    return sharpness.run(config, [subject])


def momenta(subject):
    return momentum.run(streams.Config(quiet=True, images=16, chunk=8), [subject])


MINE = """
import os
import torch
from torch import nn
from torch.utils.data import TensorDataset
from analysis.subject import Subject

os.makedirs("away", exist_ok=True)
os.chdir("away")


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x):
        return self.inner(x).detach()


def data():
    part = TensorDataset(torch.randn(60, 4), torch.arange(60) % 3)
    return part, part


def Net():
    return nn.Sequential(nn.Linear(4, 3))


held = Net()


def mine():
    return Subject(Net(), train=data()[0])
"""


checks_mine = own_file("checks_mine.py", MINE, always=False)


def test_training_without_a_gradient_is_one_line(checks_mine, capsys):
    checks_mine.write_text(MINE.replace('os.chdir("away")', ""))
    words = ["--model", "checks_mine.py:Detached", "--data", "checks_mine.py:data", "--loss", "ce", "--out", "run"]
    assert train.main([*words, "--epochs", "1", "--quiet"]) == 1
    assert "the loss has no gradient: " in capsys.readouterr().err


def test_code_that_leaves_its_folder_is_still_found(checks_mine, tmp_path):
    (found,) = subjects("checks_mine.py:mine")
    assert Path.cwd() == tmp_path / "away"
    (again,) = subjects("checks_mine.py:mine")
    assert found.code == again.code


@pytest.mark.parametrize("name", ["Net", "held"])
def test_a_network_is_no_subject(checks_mine, name):
    hint = rf"gives a Sequential, expected subjects\. .*--network checks_mine\.py:{name} --data"
    with pytest.raises(ValueError, match=hint):
        subjects(f"checks_mine.py:{name}")


def test_a_null_byte_is_one_line(checks_mine, capsys):
    checks_mine.write_bytes(b"x = 1\0")
    assert hessian.main(["checks_mine.py:mine", "--quiet"]) == 1
    assert "checks_mine.py: the file holds a null byte" in capsys.readouterr().err


@pytest.mark.parametrize(("inputs", "classes"), [(4, 3), (1, 3), (1, 2)])
def test_defaults_are_lowered_for_few_weights(inputs, classes, capsys):
    weights = inputs * classes
    torch.manual_seed(0)
    subject = Subject(
        nn.Linear(inputs, classes, bias=False).double(), train=TensorDataset(X[:, :inputs].double(), Y % classes)
    )
    config = curvature.Config(images=16, chunk=8, radius=False, trace=False, operator="hessian", dtype="float64")
    found = hessian.run(config, [subject]).tables
    weight, (x, y) = subject.network.get_parameter("weight"), (X[:16, :inputs].double(), Y[:16] % classes)
    matrix = torch.autograd.functional.hessian(lambda w: cross_entropy(x @ w.T, y), weight.detach())
    exact = torch.linalg.eigvalsh(matrix.reshape(weights, weights)).numpy()
    assert found["hessian"].eigenvalue.max() == pytest.approx(exact[-1], rel=1e-3)
    assert len(found["hessian"]) == min(6, weights)
    assert f"has {weights} weights: measured with --steps {weights}" in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"steps must lie between 1 and the dimension, {weights}; got 17"):
        hessian.run(replace(config, steps=17), [subject])
