"""A run that was killed and done again gives the same to the bit, and loses at most one product."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from landscape.curvature import Operator, Recorded
from landscape.spectrum import density, lanczos, trace

from ..oracles import Dense, symmetric

MATRIX = symmetric(np.linspace(-1, 2, 40) ** 3, seed=4)
Run = Callable[[Operator], list[float]]


def top_eigenvalues(operator: Operator) -> list[float]:
    found = lanczos(operator, top=2, tolerance=1e-6)
    return [*found.values.tolist(), *found.residuals.tolist(), *found.vectors.flatten().tolist()]


def traced(operator: Operator) -> list[float]:
    found = trace(operator, probes=4, block=2)
    return [found.value, found.stderr]


def quadrature(operator: Operator) -> list[float]:
    found = density(operator, probes=3, steps=5, block=2)
    return found.nodes.ravel().tolist() + found.weights.ravel().tolist()


RUNS = pytest.mark.parametrize("run", [top_eigenvalues, traced, quadrature])


class Deadly(Dense):
    """Kills its process in the middle of a product."""

    def __init__(self, at: int):
        super().__init__(MATRIX, torch.float32)
        self.at = at

    def __matmul__(self, vector):
        found = super().__matmul__(vector)
        if self.products >= self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


@RUNS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_done_again_makes_no_product_and_gives_the_same_to_the_bit(run, dtype, tmp_path):
    plain, first, again = Dense(MATRIX, dtype), Dense(MATRIX, dtype), Dense(MATRIX, dtype)
    expected = run(plain)
    recording = Recorded(first, tmp_path / "new")
    assert run(recording) == expected
    assert (recording.products, recording.replayed, first.products) == (plain.products, 0, plain.products)
    replaying = Recorded(again, tmp_path / "new")
    assert run(replaying) == expected
    assert (replaying.products, replaying.replayed, again.products) == (plain.products, plain.products, 0)


@RUNS
def test_a_killed_run_goes_on_where_it_ended(run, tmp_path):
    plain = Dense(MATRIX, torch.float32)
    expected = run(plain)
    process = multiprocessing.get_context("fork").Process(target=run, args=(Recorded(Deadly(7), tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    operator = Dense(MATRIX, torch.float32)
    resumed = Recorded(operator, tmp_path)
    assert run(resumed) == expected
    assert resumed.replayed in (5, 6)  # the seventh was being made, alone or in a block of two
    assert operator.products == plain.products - resumed.replayed


def test_only_the_very_same_vector_is_served(tmp_path):
    vector = torch.ones(40, dtype=torch.float64)
    Recorded(Dense(MATRIX), tmp_path) @ vector
    operator = Recorded(Dense(MATRIX), tmp_path)
    operator @ vector
    operator @ vector.nextafter(torch.tensor(2.0, dtype=torch.float64))
    operator @ vector[None]
    assert (operator.products, operator.replayed) == (3, 1)


def test_what_was_written_after_the_beginning_is_not_read(tmp_path):
    vector = torch.ones(40, dtype=torch.float64)
    writing, reading = Recorded(Dense(MATRIX), tmp_path), Recorded(Dense(MATRIX), tmp_path, write=False)
    writing @ vector
    reading @ vector
    assert reading.replayed == 0
    reading @ (2 * vector)
    assert len(list(tmp_path.glob("*.product"))) == 1


@pytest.mark.parametrize(
    ("other", "about", "message"),
    [
        (Dense(np.eye(5)), {}, "with dimension 40 in place of 5: choose another folder"),
        (Dense(MATRIX, torch.float32), {}, r"with dtype torch\.float64 in place of torch\.float32"),
        (Dense(MATRIX), {"loss": "sdt"}, "with loss tet in place of sdt"),
        (Dense(MATRIX), {}, "with loss tet in place of None"),
    ],
)
def test_records_of_another_matrix_are_refused(other, about, message, tmp_path):
    Recorded(Dense(MATRIX), tmp_path, about={"loss": "tet"})
    with pytest.raises(ValueError, match=message):
        Recorded(other, tmp_path, about={"loss": "tet"} | about if about or len(other.matrix) == 5 else about)


def test_a_damaged_record_is_refused_by_name(tmp_path):
    vector = torch.ones(40, dtype=torch.float64)
    Recorded(Dense(MATRIX), tmp_path) @ vector
    (record,) = tmp_path.glob("*.product")
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{record} is damaged: delete it"):
        Recorded(Dense(MATRIX), tmp_path) @ vector
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(ValueError, match=r"about\.json is damaged: delete the folder"):
        Recorded(Dense(MATRIX), tmp_path)


def test_a_folder_that_is_a_file_is_the_systems_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Recorded(Dense(MATRIX), tmp_path / "file" / "records")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    operator = Recorded(Dense(MATRIX), tmp_path)

    def full(self, *_):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        operator @ torch.ones(40, dtype=torch.float64)
    assert [path.name for path in tmp_path.iterdir()] == ["about.json"]


def test_it_is_an_operator_on_the_products_of_another(tmp_path):
    operator = Recorded(Dense(MATRIX), tmp_path)
    assert isinstance(operator, Operator)
    vectors = torch.randn(3, 40, dtype=torch.float64)
    torch.testing.assert_close(operator @ vectors, vectors @ torch.as_tensor(MATRIX))
    assert operator.products == 3
