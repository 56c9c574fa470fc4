"""Batches ahead of their use: the same ones, in the same order, no more ahead than allowed, errors in their place."""

import threading
import time
from collections.abc import Generator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.data.prefetch import prefetched


def counted(until: int, made: list[int]) -> Generator[Tensor, None, None]:
    for number in range(until):
        made.append(number)
        yield torch.tensor(number)


@given(st.integers(0, 9), st.integers(1, 4))
def test_batches_are_the_same_in_the_same_order(count, depth):
    assert [int(batch) for batch in prefetched(counted(count, []), depth=depth)] == list(range(count))


def settled(made: list[int], count: int) -> list[int]:
    """What is made once there are ``count``, and a little later."""
    deadline = time.monotonic() + 10
    while len(made) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    return made


def test_while_one_is_in_use_the_next_ones_are_made_and_no_more():
    made: list[int] = []
    batches = prefetched(counted(9, made), depth=2)
    for number in range(3):
        assert int(next(batches)) == number
        assert settled(made, number + 3) == list(range(number + 3))


def test_given_up_it_makes_no_batch_that_was_not_begun():
    made: list[int] = []
    going = threading.Event()

    def held() -> Generator[Tensor, None, None]:
        for number in counted(9, made):
            yield number
            going.wait()

    batches = prefetched(held())
    next(batches)
    threading.Timer(0.3, going.set).start()
    batches.close()
    assert len(made) in (1, 2)  # whether the second was begun by then is the machine's affair


def test_an_error_comes_in_place_of_the_batch_that_could_not_be_made():
    def failing() -> Generator[Tensor, None, None]:
        yield torch.tensor(0)
        raise OSError("no such image")

    batches = prefetched(failing())
    assert int(next(batches)) == 0
    with pytest.raises(OSError, match="no such image"):
        next(batches)


def test_an_iteration_given_up_leaves_no_thread():
    before = threading.active_count()
    batches = prefetched(counted(9, []))
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only CUDA has pinned memory")
def test_batches_for_cuda_are_pinned():
    assert all(batch.is_pinned() for batch in prefetched(counted(3, []), pin=True))
