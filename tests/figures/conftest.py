"""What the tests of figures share: which two are compared."""

from collections.abc import Iterator

import pytest

from figures.style.methods import compared
from tests.figure_rows import LOSSES


@pytest.fixture(autouse=True)
def both() -> Iterator[None]:
    """In every test these are the methods, unless it says otherwise."""
    with compared(LOSSES):
        yield
