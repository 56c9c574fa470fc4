"""The estimated diagonal is unbiased, and each entry's error is covered as claimed."""

import numpy as np
import pytest
import torch

from landscape.spectrum import diagonal, trace

from ..oracles import Dense, symmetric

MATRICES = {
    "flat": symmetric(np.linspace(0.5, 1.5, 40)),
    "power law": symmetric(1 / np.arange(1, 41)),
    "few outliers over a bulk": symmetric(np.r_[20, 12, 8, np.linspace(-0.5, 0.7, 37)]),
    "indefinite": symmetric(np.linspace(-1, 1.5, 40)),
}


def test_a_diagonal_matrix_has_no_error():
    found = diagonal(Dense(np.diag([1.0, -2.0, 5.0])), probes=3, seed=4)
    assert found.value.tolist() == [1.0, -2.0, 5.0]
    assert found.stderr.tolist() == [0.0, 0.0, 0.0]
    assert found.probes == 3


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", MATRICES)
def test_over_many_seeds_entries_are_unbiased_and_covered_as_claimed(name):
    matrix = MATRICES[name]
    found = [diagonal(Dense(matrix), probes=25, seed=seed) for seed in range(300)]
    errors = torch.stack([one.value for one in found]).numpy() - np.diag(matrix)
    stderr = torch.stack([one.stderr for one in found]).numpy()
    spread = np.sqrt(((matrix**2).sum(1) - np.diag(matrix) ** 2) / 25)  # closed form: the rest of the row
    assert np.abs(errors.mean(0) / spread).max() < 3.5 / 300**0.5
    np.testing.assert_allclose(errors.std(0), spread, rtol=0.15)
    np.testing.assert_allclose(np.sqrt((stderr**2).mean(0)), spread, rtol=0.05)
    covered = (np.abs(errors) < 2.064 * stderr).mean(0)  # Student's t, 24 degrees of freedom
    assert covered.mean() == pytest.approx(0.95, abs=0.01)
    assert covered.min() > 0.90


def test_its_sum_is_hutchinsons_trace_over_the_same_probes():
    matrix = MATRICES["indefinite"]
    entries, total = (
        diagonal(Dense(matrix), probes=6, seed=9),
        trace(Dense(matrix), method="hutchinson", probes=6, seed=9),
    )
    assert float(entries.value.sum()) == pytest.approx(total.value, rel=1e-12)


def test_each_probe_costs_one_product_and_reports_it():
    operator = Dense(MATRICES["flat"])
    calls: list[int] = []
    diagonal(operator, probes=7, progress=calls.append)
    assert operator.products == 7
    assert calls == [1] * 7


def test_a_small_spread_beside_large_entries_survives_float32():
    matrix = 1e4 * np.eye(10) + MATRICES["flat"][:10, :10]
    single, double = (diagonal(Dense(matrix, dtype), probes=20) for dtype in (torch.float32, torch.float64))
    np.testing.assert_allclose(single.stderr.numpy(), double.stderr.numpy(), rtol=0.1)


def test_the_seed_decides():
    first, again, other = (diagonal(Dense(MATRICES["flat"]), probes=5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.value, again.value)
    assert not torch.equal(first.value, other.value)


def test_a_single_probe_has_no_error_bar_and_is_refused():
    with pytest.raises(ValueError, match="at least 2 to have a standard error, got 1"):
        diagonal(Dense(MATRICES["flat"]), probes=1)


def test_the_frame_has_a_row_per_entry():
    frame = diagonal(Dense(MATRICES["flat"]), probes=2).to_frame()
    assert list(frame.columns) == ["entry", "diagonal", "stderr"]
    assert frame["entry"].tolist() == list(range(40))


def test_probes_that_share_products_give_the_same():
    calls: list[int] = []
    alone = diagonal(Dense(MATRICES["flat"]), probes=7)
    together = diagonal(Dense(MATRICES["flat"]), probes=7, block=3, progress=calls.append)
    torch.testing.assert_close(together.value, alone.value)
    torch.testing.assert_close(together.stderr, alone.stderr)
    assert calls == [3, 3, 1]
