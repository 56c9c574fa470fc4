"""One picture in one call, in a notebook or beside it."""

import subprocess
import sys

import pandas as pd
import pytest

from figures import draw
from figures.pictures import catalogue
from tables.reading import TableError
from tables.result import Result
from tests.figure_tables import made_up

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def frames():
    return made_up(seeds=3)


def test_a_frame_is_a_figure_that_shows_itself(frames, tmp_path):
    figure = draw("energy", frames["energy"])
    assert figure.axes
    assert figure._repr_png_().startswith(PNG)
    figure.savefig(tmp_path / "energy.pdf")
    assert (tmp_path / "energy.pdf").stat().st_size > 1000


def test_what_an_analysis_returned_and_tables_by_name_are_drawn_alike(frames):
    one = draw("rise", frames["rise_curves"], crossovers=frames["crossovers"])
    other = draw("rise", Result({name: frames[name] for name in ("rise_curves", "crossovers")}, {}))
    assert one._repr_png_() == other._repr_png_() == draw("rise", frames)._repr_png_()


def test_missing_words_and_another_network_are_no_trouble(frames):
    energy = frames["energy"]
    two = pd.concat([energy, energy.assign(network="vgg")], ignore_index=True)
    assert draw("energy", two)._repr_png_() == draw("energy", energy)._repr_png_()


def test_what_is_wrong_is_said(frames):
    with pytest.raises(KeyError, match="perhaps surfaces"):
        draw("surface", frames["surface"])
    with pytest.raises(TableError, match="rise is made of rise_curves and crossovers: crossovers isn't given"):
        draw("rise", frames["rise_curves"])


def test_importing_it_draws_nothing_and_loads_nothing():
    code = "import sys, figures; print('matplotlib' in sys.modules); figures.draw; print('matplotlib' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["False", "True"]
    assert catalogue.PICTURES
