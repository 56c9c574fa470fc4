"""What a study left out is read as it was written, and a damaged file is nothing."""

import pytest

from tables import left_out


def test_lines_are_read_as_they_were_written(tmp_path):
    lines = ["rise left out of a: no scale of logits", "energy left out of b – c: Größe"]
    left_out.write(tmp_path, lines)
    assert left_out.read(tmp_path) == lines
    left_out.write(tmp_path, [])
    assert not list(tmp_path.iterdir())
    assert left_out.read(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "3", "\ud800".encode("utf-8", "surrogatepass")])
def test_a_damaged_file_is_nothing(tmp_path, text):
    (tmp_path / left_out.NAME).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert left_out.read(tmp_path) == []


def test_what_is_no_line_is_left_out(tmp_path):
    (tmp_path / left_out.NAME).write_text('["a", 1, null]')
    assert left_out.read(tmp_path) == ["a"]
