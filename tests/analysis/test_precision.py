"""TF32 off unless asked for, bfloat16 refused unless accepted."""

import contextlib
import json

import pytest
import torch

from analysis import command, hessian
from analysis.precision import tf32
from analysis.subject import Subject


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_what_was_asked_for_inside_and_as_before_outside(allowed):
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with contextlib.suppress(KeyError), tf32(allowed):
        assert matmul.allow_tf32 is cudnn.allow_tf32 is allowed
        raise KeyError
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before


def test_tf32_is_off_while_a_command_measures_and_recorded_beside_its_tables(digits_checkpoint, tmp_path):
    seen = []

    def measure(subject, config):
        seen.append(torch.backends.cudnn.allow_tf32)
        return {}

    path = digits_checkpoint("tet")
    for flag in (False, True):
        command.analyse(command.Config((path,), tf32=flag, quiet=True), measure)
    assert seen == [False, True]
    settings = json.loads(json.dumps(command.recorded(command.Config((path,)))))
    assert settings["tf32"] is False


def test_the_remark_says_whether_tf32_was_on_where_it_matters(digits_checkpoint):
    path = digits_checkpoint("tet")
    subject = Subject.load(path)
    for device, said in (("cuda", "float32 on cuda, TF32 off, 1.0 s"), ("cpu", "float32 on cpu, 1.0 s")):
        assert said in command._remark(subject, command.Config((path,), device=device), 1.0)


def test_bfloat16_is_refused_unless_accepted(digits_checkpoint, capsys):
    argv = [str(digits_checkpoint("tet", train_images=40)), "--dtype", "bfloat16", "--images", "8", "--quiet"]
    assert hessian.main(argv) == 1
    error = capsys.readouterr().err
    assert "carries three digits" in error
    assert error.count("\n") == 1
    few = ["--top", "1", "--bottom", "0", "--loss", "tet", "--operator", "hessian", "--no-density", "--no-radius"]
    assert hessian.main([*argv, *few, "--low-precision", "--max-products", "6", "--trace-tolerance", "0.9"]) == 0
    assert "eigenvalue" in capsys.readouterr().out
