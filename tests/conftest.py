"""Settings that every test shares: one thread per process, hypothesis without a deadline, small trained networks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import util
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import HealthCheck, settings

# Triton's kernels run on the CPU, in its interpreter. It asks when its own functions are defined, so before any import.
os.environ.setdefault("TRITON_INTERPRET", "1")

from landscape.evaluation import Evaluation
from models.train import Config, run
from tests import browser, slow
from tests.zoo.given_back import Snapshot, assert_as_found

SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("project", derandomize=True, max_examples=25, **SLOW)
settings.register_profile("explore", max_examples=200, **SLOW)  # HYPOTHESIS_PROFILE=explore looks further
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))
torch.set_num_threads(1)
util.get_temp_dir()  # settled before a test has a temporary folder of its own, of a path too long for sockets


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some cases of every slow test are not."""
    slow.keep_first(items)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line says so where pages were not looked at in a browser."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if number := sum(browser.MISSING in str(one.longrepr) for one in skipped):
        reporter.write_line(f"{number} tests of pages in a browser were skipped: {browser.MISSING}")


@pytest.fixture(scope="session")
def digits_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The checkpoint of a short training run with the settings given; each is trained once, and all spike."""
    folder = tmp_path_factory.mktemp("trained")

    @cache
    def train(loss: Literal["sdt", "tet"] = "tet", **chosen: Any) -> Path:
        name = "-".join([loss, *(f"{key}-{value}" for key, value in chosen.items())])
        config = {"epochs": 4, "learning_rate": 1e-2, "quiet": True} | chosen
        run(Config(out=folder / name, loss=loss, **config))
        return folder / name / "ckpt.pt"

    return train


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every made-up table of figures, three seeds a side, read back as figures read them."""
    from tables.reading import read
    from tests.figure_tables import complete, write

    frames = complete(seeds=3)
    folder = write(tmp_path_factory.mktemp("tables"), frames)
    return {name: read(folder, name) for name in frames}


WATCHED = 20


@pytest.fixture(autouse=True)
def given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every test: each model that is evaluated is as it was found afterwards, the first times a test does so."""
    original, looks = Evaluation.evaluating, iter(range(WATCHED))

    @contextmanager
    def watched(evaluation: Evaluation) -> Iterator[Any]:
        before = Snapshot(evaluation.model) if next(looks, None) is not None else None
        try:
            with original(evaluation) as model:
                yield model
        finally:
            if before:
                assert_as_found(evaluation.model, before)

    monkeypatch.setattr(Evaluation, "evaluating", watched)


@pytest.fixture
def figure() -> Iterator[Any]:
    """A figure as wide as a page, in the look of all pictures."""
    from matplotlib.figure import Figure

    from figures.style import look as style

    with style.paper():
        yield Figure(figsize=(style.PAGE, 4), layout="constrained")
