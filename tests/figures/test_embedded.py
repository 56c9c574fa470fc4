"""A figure as a data URI: curves with short numbers while they are few, dots beyond."""

import base64
import io
import re

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from figures.page.plates import embedded


def drawn(points):
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot(np.random.default_rng(0).normal(size=points), "o-", label="many words")
    kind, _, data = embedded(figure).partition(";base64,")
    return kind, base64.b64decode(data)


def test_curves_have_short_numbers_and_letters_their_size():
    kind, curves = drawn(20)
    assert kind == "data:image/svg+xml"
    assert b"scale(0.015625)" in curves  # of a glyph
    assert not re.search(rb"[ (][1-9]\d*\.\d{3}", curves)


def test_what_is_large_is_dots():
    kind, dots = drawn(3000)
    assert kind == "data:image/webp"
    assert Image.open(io.BytesIO(dots)).size == (600, 450)
