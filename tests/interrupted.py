"""Training that is cut short: it stops as Ctrl-C would stop it, right after a checkpoint was saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from models.checkpoint import save


@contextmanager
def interrupted(after: int | None = None) -> Iterator[None]:
    """The block trains, and is left once the checkpoint of epoch ``after`` is saved, by default the next."""

    def stop(checkpoint, path):
        save(checkpoint, path)
        if after in (None, checkpoint.training["epochs_done"]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), patch("models.training.run.save", stop):
        yield
