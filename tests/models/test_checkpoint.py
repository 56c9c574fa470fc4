"""A checkpoint comes back as it was written; anything else is refused in words, and nothing is half-written."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.subject import Subject
from models.checkpoint import FORMAT, Checkpoint, CheckpointError, load, save
from models.networks import build
from tables.files import replacing


@pytest.fixture
def checkpoint() -> Checkpoint:
    network = build("digits-cnn", seed=0, timesteps=3, decay=0.25)
    return Checkpoint(
        model={"name": "digits-cnn", "arguments": network.arguments},
        state_dict=dict(network.state_dict()),
        data={"name": "digits", "arguments": {"train_images": 40, "split_seed": 3}},
        training={"loss": "tet", "seed": 0, "epochs_done": 1},
        history={"epoch": [1.0]},
    )


def small() -> Checkpoint:
    """A checkpoint of the right structure with one tensor."""
    return Checkpoint(
        model={"name": "digits-cnn", "arguments": {}},
        state_dict={"w": torch.arange(50.0)},
        data={"name": "digits", "arguments": {}},
        training={"loss": "sdt", "seed": 0},
        history={},
    )


def test_what_is_saved_is_loaded(checkpoint, tmp_path):
    save(checkpoint, tmp_path / "ckpt.pt")
    found = load(tmp_path / "ckpt.pt")
    assert replace(found, state_dict={}) == replace(checkpoint, state_dict={})
    for name, value in checkpoint.state_dict.items():
        assert torch.equal(found.state_dict[name], value)


def test_the_network_comes_back_with_its_settings_and_outputs(checkpoint, tmp_path):
    save(checkpoint, tmp_path / "ckpt.pt")
    network = load(tmp_path / "ckpt.pt").network()
    original = build("digits-cnn", seed=0, timesteps=3, decay=0.25).eval()
    images = torch.rand(5, 1, 8, 8)
    assert not network.training
    assert torch.equal(network(images), original(images))
    assert len(network(images)) == 3


def test_the_data_comes_back_with_its_split(checkpoint):
    data = checkpoint.load_data()
    assert len(data.train) == 40
    assert data.arguments["split_seed"] == 3


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*gone\.pt: train one"):
        load(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", bytes(1000), b"PK\x03\x04" + bytes(50)], ids=["empty", "text", "zeros", "zip"]
)
def test_other_bytes_are_refused(content, tmp_path):
    path = tmp_path / "ckpt.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        load(path)


@given(fraction=st.floats(0, 0.999))
def test_a_truncated_checkpoint_is_refused_wherever_it_ends(fraction, tmp_path_factory):
    path = tmp_path_factory.mktemp("truncated") / "ckpt.pt"
    save(small(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        load(path)


@given(place=st.floats(0, 0.999999), bit=st.integers(0, 7))
@settings(max_examples=100)
def test_a_flipped_bit_is_noticed_or_changes_nothing(place, bit, tmp_path_factory):
    path = tmp_path_factory.mktemp("flipped") / "ckpt.pt"
    save(small(), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = load(path)
    except CheckpointError:
        return
    assert torch.equal(found.state_dict["w"], small().state_dict["w"])
    assert replace(found, state_dict={}) == replace(small(), state_dict={})


FOREIGN = [3, 4.5, "text", None, True, [1], {"a": 1}, torch.ones(2), {}]


@given(place=st.sampled_from([
    "format", "model", "model.name", "model.arguments", "model.arguments.timesteps", "model.arguments.decay",
    "model.arguments.spiking", "model.arguments.surrogate", "model.arguments.num_classes", "state_dict", "data",
    "data.name", "data.arguments", "data.arguments.train_images", "training", "training.loss", "training.seed",
    "history", "versions",
]), value=st.sampled_from(FOREIGN))  # fmt: skip
@settings(max_examples=150)
def test_wrong_types_are_a_complaint_and_never_a_traceback(place, value, tmp_path_factory):
    path = tmp_path_factory.mktemp("mistyped") / "ckpt.pt"
    network = build("digits-cnn", seed=0)
    content: dict[str, Any] = {
        "format": FORMAT, "model": {"name": "digits-cnn", "arguments": dict(network.arguments)},
        "state_dict": network.state_dict(), "data": {"name": "digits", "arguments": {"train_images": 40}},
        "training": {"loss": "sdt", "seed": 0}, "history": {}, "versions": {},
    }  # fmt: skip
    inner = content
    *parents, last = place.split(".")
    for name in parents:
        inner = inner[name]
    inner[last] = value
    torch.save(content, path)
    with contextlib.suppress(ValueError, OSError):
        Subject.load(path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model", 3, r"model is '?3'? \(int\), expected a dict"),
        ("model.arguments.timesteps", "4", r"timesteps .*is '4' \(str\), expected int"),
        ("model.arguments.spiking", "no", r"spiking .*is 'no' \(str\), expected bool"),
        ("model.arguments.decay", None, r"decay .*is '?None'?.*, expected float"),
        ("training", {"seed": 0}, r"training\.loss is missing"),
        ("training.loss", 3, r"training\.loss is '3' \(int\), expected a name of 1 to 200 characters on one line"),
        ("training.method", "two\nlines", r"training\.method is 'two\\nlines' \(str\), expected a name of 1 to 200"),
        ("state_dict", {"w": 3}, r"state_dict.*is '?3'? \(int\), expected"),
        ("format", "1", r"has checkpoint format '1', this version reads formats 1 and 2"),
    ],
)
def test_a_complaint_names_place_found_and_expected(place, value, said, tmp_path):
    content = {"format": FORMAT} | {
        name: getattr(small(), name) for name in ("model", "state_dict", "data", "training", "history", "versions")
    }
    inner: Any = content
    *parents, last = place.split(".")
    for name in parents:
        inner = inner[name]
    inner[last] = value
    torch.save(content, tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match=said):
        load(tmp_path / "ckpt.pt").network()


def written(path: Path, version: int, **training: Any) -> Path:
    """A file of that format with ``training``."""
    content = {name: getattr(small(), name) for name in ("model", "state_dict", "data", "history", "versions")}
    torch.save({"format": version, "training": training} | content, path)
    return path


def test_a_file_of_format_1_has_the_loss_for_a_method(tmp_path):
    found = load(written(tmp_path / "ckpt.pt", 1, loss="tet", seed=3))
    assert found.training == {"loss": "tet", "seed": 3, "method": "tet"}
    save(found, tmp_path / "again.pt")
    assert torch.load(tmp_path / "again.pt", weights_only=True)["format"] == 2
    assert load(tmp_path / "again.pt").training == found.training


def altered(content: dict[str, Any], place: str) -> None:
    """Other content than was saved, of the same structure."""
    change: dict[str, Callable[[], Any]] = {
        "weights": lambda: content["state_dict"]["body.norm2.running_var"].zero_(),
        "history": lambda: content["history"].update(epoch=[2.0]),
        "method": lambda: content["training"].update(method="mine"),
        "seed": lambda: content["training"].update(seed=1),
        "resume": lambda: content["resume"]["optimizer"].update(lr=0.2),
        "the digest": lambda: content.update(digest="0" * 64),
        "the digest's kind": lambda: content.update(digest=None),
        "another field": lambda: content.update(more=1),
    }
    change[place]()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "place",
    ["weights", "history", "method", "seed", "resume", "the digest", "the digest's kind", "another field"],
)
def test_other_content_than_was_saved_is_refused_by_its_digest(place, zipped, checkpoint, tmp_path):
    path = tmp_path / "ckpt.pt"
    save(replace(checkpoint, resume={"optimizer": {"lr": 0.1}}), path)
    content = torch.load(path, weights_only=True)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert load(path).resume == {"optimizer": {"lr": 0.1}}
    altered(content, place)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="it holds other content than was saved, by its digest"):
        load(path)


def test_a_digest_by_another_name_is_no_older_file(checkpoint, tmp_path):
    path = tmp_path / "ckpt.pt"
    save(checkpoint, path)
    content = torch.load(path, weights_only=True)
    digest = content.pop("digest")
    torch.save(content, path)
    assert load(path).training == checkpoint.training  # as of an earlier version
    torch.save(content | {"dihest": digest}, path)
    with pytest.raises(CheckpointError, match="it has no digest, and 'dihest', which is no field of a checkpoint"):
        load(path)


def test_what_could_not_be_read_back_is_not_written(checkpoint, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"can't be written, since .*: resume\.generator is a Generator, expected"
    ):
        save(replace(checkpoint, resume={"generator": torch.Generator()}), tmp_path / "ckpt.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "label", ["sdt", "sdt+sam, ρ = 0.05", "a/b", "Größe", "NA", "007", '"quoted"', "x" * 200, "方法"]
)
def test_a_method_and_a_loss_may_have_any_name(label, tmp_path):
    save(replace(small(), training={"loss": label, "method": label, "seed": 0}), tmp_path / "ckpt.pt")
    assert load(tmp_path / "ckpt.pt").training == {"loss": label, "method": label, "seed": 0}


@pytest.mark.parametrize(
    "label", ["", "  ", "x" * 201, "a\nb", "a\rb", "a\x00", "\x1b[1m", "a\u2028b", "\ud800", "\x85", 3, None]
)
@pytest.mark.parametrize("name", ["loss", "method"])
def test_a_name_that_a_table_could_not_show_is_neither_written_nor_read(name, label, tmp_path):
    training = {"loss": "sdt", "method": "sdt", "seed": 0} | {name: label}
    with pytest.raises(CheckpointError, match=rf"can't be written, since it could not be read: training\.{name} is "):
        save(replace(small(), training=training), tmp_path / "ckpt.pt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=rf"is damaged or was not written by this project: training\.{name} is "):
        load(written(tmp_path / "ckpt.pt", 2, **training))


def test_weights_of_another_kind_and_negative_variances_are_refused(checkpoint):
    name = next(iter(checkpoint.state_dict))
    counts = checkpoint.state_dict | {name: checkpoint.state_dict[name].to(torch.int64)}
    with pytest.raises(CheckpointError, match=r"found \[.*\] of torch\.int64"):
        replace(checkpoint, state_dict=counts).network()
    variance = next(key for key in checkpoint.state_dict if key.endswith("running_var"))
    with pytest.raises(CheckpointError, match="negative variance"):
        replace(checkpoint, state_dict=checkpoint.state_dict | {variance: -checkpoint.state_dict[variance]}).network()


def test_data_that_does_not_fit_the_network_is_refused(checkpoint, tmp_path):
    save(replace(checkpoint, data={"name": "digit-events", "arguments": {}}), tmp_path / "ckpt.pt")
    with pytest.raises(ValueError, match="its network takes in_channels 1, its data digit-events has 2"):
        Subject.load(tmp_path / "ckpt.pt")


def test_a_pickle_that_would_run_code_is_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (marker,)

    torch.save({"format": FORMAT, "model": Bomb()}, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors and plain values"):
        load(tmp_path / "ckpt.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"conv.weight": torch.ones(1)}, "not written by this project: .*found the keys conv.weight"),
        ([1, 2], "found a list"),
        ({}, "found an empty dict"),
        ({"format": 0}, "format 0, this version reads formats 1 and 2"),
        ({"format": FORMAT, "model": {}}, "lacks state_dict, data, training, history, versions"),
    ],
    ids=["state dict", "list", "empty", "older", "incomplete"],
)
def test_foreign_and_older_files_are_refused_with_what_was_found(content, said, tmp_path):
    torch.save(content, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=said):
        load(tmp_path / "ckpt.pt")


def test_a_state_dict_that_does_not_fit_is_refused_with_key_expected_and_found(checkpoint):
    name = next(iter(checkpoint.state_dict))
    wrong = checkpoint.state_dict | {name: torch.ones(2, 2)}
    with pytest.raises(CheckpointError, match=rf"at {name} expected \[.*\], found \[2, 2\]"):
        replace(checkpoint, state_dict=wrong).network()
    fewer = {key: value for key, value in checkpoint.state_dict.items() if key != name}
    with pytest.raises(CheckpointError, match=rf"at {name} expected .*, found nothing"):
        replace(checkpoint, state_dict=fewer).network()
    more = checkpoint.state_dict | {"extra": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"at extra expected nothing, found \[1\]"):
        replace(checkpoint, state_dict=more).network()


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("num_classes", 10**9, r"the state dict doesn't fit digits-cnn: at .* expected \[1000000000(, \d+)?\], found"),
        ("channels", 10**6, r"the state dict doesn't fit digits-cnn: at .* expected .*1000000.*, found"),
        ("image_size", 2**20, "the state dict doesn't fit digits-cnn: at body.head.weight expected"),
        ("image_size", 2**40, "no digits-cnn can be built with the arguments .*: "),
        (
            "num_classes",
            2**62,
            "no digits-cnn can be built with the arguments .*'num_classes': 4611686018427387904.*: ",
        ),
        ("timesteps", 10**9, "timesteps must be at most 10,000, got 1000000000"),
        ("timesteps", 2**63 - 1, "timesteps must be at most 10,000, got 9223372036854775807"),
    ],
)
def test_a_network_of_absurd_size_is_refused_before_it_takes_memory(argument, value, said, checkpoint, tmp_path):
    model = checkpoint.model | {"arguments": checkpoint.model["arguments"] | {argument: value}}
    save(replace(checkpoint, model=model), tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(tmp_path / 'ckpt.pt'))}: {said}"):
        Subject.load(tmp_path / "ckpt.pt")


@pytest.mark.parametrize("steps", [10_001, 2**62])
def test_data_cut_into_absurdly_many_steps_is_refused(steps, checkpoint, tmp_path):
    save(replace(checkpoint, data={"name": "digit-events", "arguments": {"timesteps": steps}}), tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=f": timesteps of digit-events must be at most 10,000, got {steps}$"):
        load(tmp_path / "ckpt.pt").load_data()


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda x: x.to_sparse(), "is a tensor laid out as sparse_coo"),
        (lambda x: x.to_sparse_csr(), "is a tensor laid out as sparse_csr"),
        (lambda x: x.to("meta"), "is a tensor of device meta, which holds no numbers"),
    ],
    ids=["sparse", "csr", "meta"],
)
def test_tensors_that_are_not_dense_are_refused(changed, said, checkpoint, tmp_path):
    name = next(key for key, value in checkpoint.state_dict.items() if value.dim() == 2)
    odd = checkpoint.state_dict | {name: changed(checkpoint.state_dict[name])}
    save(replace(checkpoint, state_dict=odd), tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=f"{name} in the state dict {said}|can't be read as a checkpoint"):
        load(tmp_path / "ckpt.pt").network()
    with pytest.raises(CheckpointError, match=f"^{name} in the state dict {said}; expected a dense one$"):
        replace(checkpoint, state_dict=odd).network()


def test_weights_that_are_not_finite_are_refused(checkpoint):
    name, value = next(iter(checkpoint.state_dict.items()))
    broken = checkpoint.state_dict | {name: value.clone().fill_(float("nan"))}
    with pytest.raises(CheckpointError, match=f"{name} holds NaN or infinity"):
        replace(checkpoint, state_dict=broken).network()


def test_an_unknown_network_is_refused(checkpoint):
    with pytest.raises(ValueError, match="digits-cnn"):
        replace(checkpoint, model={"name": "transformer", "arguments": {}}).network()


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as partial:
            partial.write_text("half of the new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    program = """
        import os, signal, sys
        from pathlib import Path
        from tables.files import replacing
        with replacing(Path(sys.argv[1])) as partial:
            partial.write_text("half of the new")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
