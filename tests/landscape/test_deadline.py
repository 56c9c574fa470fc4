"""When the time is up, what is there is returned and says how far it got; and the bar appears only if it takes long."""

import sys
import time
from functools import partial

import numpy as np
import pytest

from landscape.spectrum import Deadline, Outlook, Ritz, Wanted, lanczos
from landscape.spectrum.bar import Bar

from ..oracles import Dense
from .test_lanczos import SPREAD, true_residuals


class Slow(Dense):
    """Takes its time for a product."""

    def __init__(self, seconds: float):
        super().__init__(SPREAD)
        self.seconds = seconds

    def __matmul__(self, vector):
        time.sleep(self.seconds)
        return super().__matmul__(vector)


def test_a_deadline_passes_when_its_seconds_are_over_and_never_without_any():
    now = iter([10.0, 12.0, 12.5, 13.0])
    deadline = Deadline(3.0, clock=lambda: next(now))
    assert (deadline.left, deadline.seconds, deadline.passed) == (1.0, 0.5, True)
    assert (Deadline(None).seconds, Deadline(None).passed) == (None, False)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_at_all_is_refused_before_any_product(seconds):
    operator = Dense(SPREAD)
    with pytest.raises(ValueError, match="seconds must be positive"):
        lanczos(operator, seconds=seconds)
    assert operator.products == 0


def test_when_the_time_is_up_what_is_there_is_returned_and_has_not_converged():
    operator = Slow(0.03)
    begun = time.perf_counter()
    found = lanczos(operator, top=4, bottom=2, tolerance=1e-9, seconds=0.3)
    assert time.perf_counter() - begun < 0.3 + 0.2
    assert 6 <= found.products == operator.products <= 10
    assert found.ranks.tolist() == [1, 2, 3, 4, -1, -2]
    assert not found.converged.all()
    np.testing.assert_allclose(found.residuals, true_residuals(operator, found), atol=1e-10)


def test_of_fewer_pairs_than_wanted_none_has_converged_and_the_smallest_lack():
    found = lanczos(Slow(0.02), top=4, bottom=2, seconds=0.01)
    assert (found.products, found.ranks.tolist(), found.converged.tolist()) == (1, [1], [False])
    assert found.to_frame()["rank"].tolist() == [1]


def test_time_enough_changes_nothing():
    plain, timed = (lanczos(Dense(SPREAD), top=3, seconds=seconds) for seconds in (None, 1000.0))
    assert plain.values.tolist() == timed.values.tolist()
    assert plain.products == timed.products


def test_the_bar_appears_only_once_it_takes_longer_than_its_delay(capsys, monkeypatch):
    lanczos(Slow(0.001), top=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.modules["landscape.spectrum.lanczos"], "Bar", partial(Bar, delay=0.1))
    lanczos(Slow(0.06), top=2, tolerance=1e-2)
    shown = capsys.readouterr().err
    assert "eigenvalues" in shown
    assert "left" in shown
    for silent in ({"progress": False}, {"progress": lambda made: None}):
        lanczos(Slow(0.06), top=2, tolerance=1e-2, **silent)
        assert capsys.readouterr().err == ""


def test_the_first_product_brings_the_forecast_and_the_next_the_state(capsys):
    outlook = Outlook(Wanted(5, 0, 0, 1e-2), most=200)
    with Bar(outlook, delay=0.0) as bar:
        bar.watch(Ritz(1, np.array([1]), np.array([28.0]), np.array([2.8]), 28.0))
        bar._bar.refresh()
        assert "five values at 1e-02 take about 17 products" in capsys.readouterr().err
        bar.watch(Ritz(2, np.array([1, 2]), np.array([30.0, 20.0]), np.array([3.0, 10.0]), 30.0))
        bar._bar.refresh()
        assert "30 20, residual 5e-01" in capsys.readouterr().err


def test_pieces_end_where_one_more_as_long_as_the_longest_would_be_late():
    clock = [0.0]
    deadline = Deadline(10.0, clock=lambda: clock[0])
    done = []
    for item in deadline.pieces([1.0, 3.0, 2.0, 2.0, 2.0, 1.0]):
        clock[0] += item
        done.append(item)
    assert done == [1.0, 3.0, 2.0, 2.0]  # at 8 one of 3 would be late
    assert list(Deadline(1.0, clock=lambda: clock[0]).pieces("abc")) == ["a", "b", "c"]
    late = Deadline(1.0, clock=lambda: clock[0])
    seen = []
    for letter in late.pieces("abc", least=2):
        clock[0] += 5.0
        seen.append(letter)
    assert seen == ["a", "b"]
