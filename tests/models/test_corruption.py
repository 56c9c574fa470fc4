"""Checkpoints altered at random, their checksums repaired or not: the right content, or one line, soon and in little.

300 of them; with SNN_LANDSCAPE_CORRUPTIONS=3000 that many.
"""

import io
import os
import pickletools
import random
import zipfile
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoint import CheckpointError, load
from models.elsewhere import read as read_elsewhere
from models.reading import read

from ..archives import rebuilt, records
from ..memory import Cost, measured

COUNT = int(os.environ.get("SNN_LANDSCAPE_CORRUPTIONS", "300"))
NUMBERS = [0, 1, 255, 2**16, 2**31 - 1]


def scrambled(content: bytes, draw: random.Random) -> bytes:
    """Cut off, bits flipped, bytes overwritten, two stretches exchanged, a stretch doubled or left out."""
    if not content:
        return bytes([draw.randrange(256)])
    first, last = sorted(draw.randrange(len(content)) for _ in range(2))
    length = draw.randrange(1, 200)
    last = max(last, min(first + length, len(content)))
    here, between, there = content[first : first + length], content[first + length : last], content[last:]
    kind = draw.randrange(6)
    if kind < 2:
        wrong = bytearray(content)
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(wrong))
            wrong[place] = draw.randrange(256) if kind else wrong[place] ^ 1 << draw.randrange(8)
        return bytes(wrong)
    return (
        content[:first],
        content[:first] + there[:length] + between + here + there[length:],
        content[: first + length] + content[first:],
        content[:first] + content[first + length :],
    )[kind - 2]


def claiming(pickled: bytes, draw: random.Random) -> bytes:
    """One integer of the pickle is another: a size, a shape, a stride, T, a count of anything."""
    operations = [(place or 0, op.name) for op, _, place in pickletools.genops(pickled)]
    held = [(place, name) for place, name in operations if name in ("BININT1", "BININT2")]
    place, name = draw.choice(held)
    size = 2 if name == "BININT1" else 3
    return pickled[:place] + b"J" + draw.choice(NUMBERS).to_bytes(4, "little") + pickled[place + size :]


def repaired(whole: bytes, draw: random.Random, kind: str) -> bytes:
    """An archive with right checksums, one record of which is altered."""
    sizes = {name: len(content) for name, content in records(whole).items()}
    chosen = draw.choice(["data.pkl", *draw.choices(list(sizes), [size + 100 for size in sizes.values()])])
    compression = zipfile.ZIP_DEFLATED if draw.random() < 0.05 else zipfile.ZIP_STORED

    def change(name: str, content: bytes) -> bytes:
        if kind == "claims":
            return claiming(content, draw) if name == "data.pkl" else content
        return scrambled(content, draw) if name == chosen else content

    return rebuilt(whole, change, compression)


def same(one: Any, other: Any) -> bool:
    """Compared item by item, without any digest."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        kinds = (one.dtype, one.shape) == (other.dtype, other.shape)
        return kinds and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def held(path: Path) -> dict[str, Any]:
    """What a checkpoint gives, after everything was built from it that can be."""
    found = load(path)
    found.network()
    return {key: value for key, value in vars(found).items() if key != "path"}


@pytest.fixture(scope="module")
def whole(digits_checkpoint) -> bytes:
    return digits_checkpoint("tet", timesteps=2, train_images=40, batch_size=20).read_bytes()


@pytest.mark.slow
def test_an_altered_checkpoint_is_the_right_one_or_refused_in_a_line(whole, tmp_path):
    path = tmp_path / "ckpt.pt"
    path.write_bytes(whole)
    expected = held(path)
    buffer = io.BytesIO()
    torch.save(read(path), buffer, _use_new_zipfile_serialization=False)
    legacy = buffer.getvalue()
    draw, outcomes, most = random.Random(0), Counter[str](), Cost()
    for number in range(COUNT):
        kind = ("bytes", "legacy", "record", "record", "claims")[number % 5]
        content = {
            "bytes": lambda: scrambled(whole, draw),
            "legacy": lambda: scrambled(legacy, draw),
            "record": lambda: repaired(whole, draw, "record"),
            "claims": lambda: repaired(whole, draw, "claims"),
        }[kind]()
        path.write_bytes(content)
        with measured() as cost:
            try:
                found = held(path)
                outcomes[f"{kind} right"] += 1
                assert same(found, expected), f"corruption {number}: other content"
            except CheckpointError as failure:
                outcomes[f"{kind} refused"] += 1
                assert str(failure).startswith(str(path)), failure  # noqa: PT017
                assert "\n" not in str(failure), failure  # noqa: PT017
        assert cost.seconds < 1, f"corruption {number}: {cost}"
        assert cost.memory < 200e6, f"corruption {number}: {cost}"
        most = Cost(max(most.seconds, cost.seconds), max(most.memory, cost.memory))
    print(dict(sorted(outcomes.items())), most)
    assert min(outcomes[f"{kind} refused"] for kind in ("bytes", "legacy", "record", "claims")) > COUNT // 50


def test_altered_weights_of_others_are_read_or_refused_in_a_line(tmp_path):
    """Nothing says what they were; but no traceback, no time and no memory."""
    path = tmp_path / "theirs.pth"
    state = {f"module.{layer}.weight": torch.randn(20, 30) for layer in range(3)}
    content = {"state_dict": state, "state_dict_ema": state, "epoch": 300, "args": Namespace(lr=0.1, T=4, data="x")}
    buffers = [io.BytesIO(), io.BytesIO()]
    for new, buffer in enumerate(buffers):
        torch.save(content, buffer, _use_new_zipfile_serialization=bool(new))
    legacy, zipped = (buffer.getvalue() for buffer in buffers)
    draw = random.Random(1)
    for number in range(COUNT // 3):
        altered = (
            scrambled(legacy, draw),
            repaired(zipped, draw, "record"),
            repaired(zipped, draw, "claims"),
        )[number % 3]
        path.write_bytes(altered)
        with measured() as cost:
            try:
                read_elsewhere(path)
            except CheckpointError as failure:
                assert str(failure).startswith(str(path))  # noqa: PT017
                assert "\n" not in str(failure)  # noqa: PT017
        assert cost.seconds < 1, f"corruption {number}: {cost}"
        assert cost.memory < 200e6, f"corruption {number}: {cost}"
