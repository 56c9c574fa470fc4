"""Every model of the zoo, every measure: right, or refused in one line; and the model given back as found."""

import random
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from landscape.surfaces import first_layer
from tests.zoo import asked
from tests.zoo.entry import Entry
from tests.zoo.given_back import Snapshot, assert_as_found
from tests.zoo.judge import compared, interrupted, judged, twin
from tests.zoo.naive import Naive
from tests.zoo.table import ENTRIES, HALF

pytestmark = pytest.mark.filterwarnings("ignore")


def rows(entries: Iterable[Entry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name) for entry in entries]


def cells(entries: Iterable[Entry]) -> list[Any]:
    pairs = [(entry, measure) for entry in entries for measure in entry.measures()]
    return [pytest.param(entry, measure, id=f"{entry.name}-{measure}") for entry, measure in pairs]


def stopped_at(entry: Entry) -> str:
    """The measure of this row that is cut short: any, but always the same."""
    measures = [name for name in entry.measures() if name != "remainder"]
    return random.Random(zlib.crc32(entry.name.encode())).choice(measures)


def check(entry: Entry, measure: str) -> None:
    outcome = judged(entry, measure)
    assert outcome.good, f"{entry.name}, {measure}: {outcome.status}: {outcome.sentence}"


def check_without_shortcut(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A surface with every layer computed at every point is the same, or as well refused."""
    found = [_surface(entry)]
    monkeypatch.setattr(first_layer, "BUDGET", 0)
    found.append(_surface(entry))
    if not isinstance(found[0], np.ndarray) or not isinstance(found[1], np.ndarray):
        assert type(found[0]) is type(found[1])
        return
    rounding = 1e-11 if entry.dtype is torch.float64 else 1e-4 if entry.dtype is torch.float32 else 0.05
    np.testing.assert_allclose(found[0], found[1], rtol=rounding, atol=rounding)


def _surface(entry: Entry) -> Any:
    try:
        with entry.around():
            return asked.surface(entry.build(), twin(entry))
    except (ValueError, TypeError) as error:
        return error


# What has no surface, or another one at every look, or state that would carry from the first measure to the second.
DRAWN = [entry for entry in ENTRIES if "surface" in entry.measures() and entry.kind != "refused"]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No row leaves a trace in torch's own settings."""
    before = torch.get_default_dtype(), torch.random.get_rng_state(), torch.is_grad_enabled()
    yield
    assert torch.get_default_dtype() is before[0]
    assert torch.is_grad_enabled() is before[2]


@pytest.mark.parametrize(("entry", "measure"), cells(HALF))
def test_half(entry, measure):
    check(entry, measure)


@pytest.mark.parametrize("entry", rows(HALF))
def test_half_interrupted(entry):
    assert not interrupted(entry, stopped_at(entry))


@pytest.mark.parametrize("entry", rows(entry for entry in HALF if entry in DRAWN))
def test_half_without_first_layers_shortcut(entry, monkeypatch):
    check_without_shortcut(entry, monkeypatch)


@pytest.mark.parametrize("entry", rows(entry for entry in ENTRIES if entry.smooth))
def test_twin_agrees_with_finite_differences(entry):
    """The witness has a witness: its products are differences of its gradients, and those of its losses."""
    naive = twin(entry)
    exact, differences = naive.hessian(), naive.hessian_by_differences()
    assert float((exact - differences).norm()) < 1e-6 * float(exact.norm()) + 1e-8
    along, step = naive.directions[0], 1e-5
    slope = (naive.losses(step * along).mean() - naive.losses(-step * along).mean()) / (2 * step)
    assert abs(slope - float(naive.gradient() @ along)) < 1e-6 * float(naive.gradient().norm() * along.norm())


@pytest.mark.parametrize("entry", rows(ENTRIES))
def test_builds_alike_and_leaves_no_trace(entry):
    """Two builds hold the same bits, and torch's generator is where it was."""
    before = torch.random.get_rng_state()
    first, second = entry.build(), entry.build()
    assert torch.equal(before, torch.random.get_rng_state())
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one.detach(), other.detach())


@pytest.mark.parametrize("entry", rows(entry for entry in HALF if entry.dtype is torch.float64))
def test_judge_sees_a_tenth_of_a_thousandth(entry):
    """An answer that is 1e-4 too large is called wrong: no tolerance swallows what there is to see."""
    naive = twin(entry)
    if entry.kind == "refused" or entry.tolerance > 1e-5:
        return
    for measure in ("value", "examples", "surface", "average", "second_difference", "gradient", "hessian"):
        if measure in entry.measures() and entry.expected(measure)[1] is None:
            answer = np.asarray(getattr(naive, measure)(), dtype=float)
            assert compared(measure, answer, naive, entry) == ""
            centre = answer.ravel()[4] if measure == "surface" else 0.0
            assert compared(measure, centre + 1.0001 * (answer - centre), naive, entry), measure


NORMED = ["batch norm 1d", "batch norm 2d", "resnet", "densenet", "mobilenet v2", "frozen", "in the midst of training",
          "spikingjelly conv", "spikformer block"]  # fmt: skip


@pytest.mark.parametrize("entry", rows(entry for entry in ENTRIES if entry.name in NORMED))
def test_recalibrated_statistics_are_those_of_all_batches(entry):
    case, wanted = entry.build(), Naive(entry).statistics()
    before = Snapshot(case.model)
    assert asked.recalibrate(case) == len(wanted)
    for name, (mean, variance) in wanted.items():
        norm = case.model.get_submodule(name)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-9, atol=1e-9)
    statistics = [place for place in before.things if place.endswith(("running_mean", "running_var"))]
    assert_as_found(case.model, before, but=statistics)


@pytest.mark.zoo
@pytest.mark.parametrize(("entry", "measure"), cells(ENTRIES))
def test_whole(entry, measure):
    check(entry, measure)


@pytest.mark.zoo
@pytest.mark.parametrize("entry", rows(ENTRIES))
def test_whole_interrupted(entry):
    assert not interrupted(entry, stopped_at(entry))


@pytest.mark.zoo
@pytest.mark.parametrize("entry", rows(DRAWN))
def test_whole_without_first_layers_shortcut(entry, monkeypatch):
    check_without_shortcut(entry, monkeypatch)
