"""What gradient graphs take, what there is, and what is said when it runs out."""

import re

import pandas as pd
import pytest
import torch
from torch import nn

import analysis.hessian
from analysis import command, line
from analysis.hessian import command as hessian
from analysis.hessian import curvature
from landscape.curvature import GaussNewton, Hessian
from landscape.objective import Objective, memory
from landscape.refusal import exhausted
from tables.result import Result

GIB = 2**30
NO_KEEP = ["--no-keep-graph"]


def objective(sizes: list[int], depth: int = 3, width: int = 32) -> Objective:
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.Tanh())]
    batches = [(torch.randn(size, width), torch.randn(size, width)) for size in sizes]
    return Objective(nn.Sequential(*layers), nn.MSELoss(), batches)


def test_a_graph_holds_at_least_the_activations_and_grows_with_the_examples():
    small, large = (memory.graph_bytes(objective([size])) for size in (64, 128))
    activations = 3 * 64 * 32 * 4
    assert activations < small < 12 * activations
    assert large == pytest.approx(2 * small, rel=0.1)


def test_every_batch_has_a_graph_of_its_own():
    one = memory.graph_bytes(objective([64]))
    assert memory.graph_bytes(objective([64, 64, 64])) == pytest.approx(3 * one, rel=0.01)
    assert memory.graph_bytes(objective([64, 32])) == pytest.approx(1.5 * one, rel=0.01)


def test_weights_count_as_nothing():
    wide = objective([1], depth=1, width=512)
    assert memory.graph_bytes(wide) < 0.1 * 4 * 512**2


def test_what_is_saved_many_times_counts_once():
    class Fan(nn.Module):
        """Forty readings of one activation."""

        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(8, 512)
            self.readers = nn.ParameterList([torch.randn(512, 1) for _ in range(40)])

        def forward(self, x):
            activation = self.hidden(x).tanh()
            return sum(activation @ reader for reader in self.readers)

    activation = 64 * 512 * 4
    some = Objective(Fan(), nn.MSELoss(), [(torch.randn(64, 8), torch.randn(64, 1))])
    assert activation < memory.graph_bytes(some) < 10 * activation


def test_measuring_leaves_no_graph_and_no_gradient():
    some = objective([8])
    before = [weight.detach().clone() for weight in some.model.parameters()]
    memory.graph_bytes(some)
    assert all(weight.grad is None for weight in some.model.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, some.model.parameters(), strict=True))


def test_graphs_fit_in_a_quarter_of_what_is_available(monkeypatch):
    some = objective([64])
    need = memory.graph_bytes(some)
    for there, expected in ((4.1 * need, True), (3.9 * need, False)):
        monkeypatch.setattr(memory, "available", lambda device, there=there: there)
        assert memory.fits(some) is expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    4194304 kB\n"}, 4 * GIB),
        ({"/proc/meminfo": "MemAvailable: 4194304 kB\n", "max": f"{3 * GIB}\n", "current": f"{GIB}\n"}, 2 * GIB),
        ({"/proc/meminfo": "MemAvailable: 4194304 kB\n", "max": "max\n", "current": f"{GIB}\n"}, 4 * GIB),
        ({"/proc/meminfo": "MemAvailable: 4194304 kB\n", "max": "5\n", "current": "7\n"}, 0),
    ],
)
def test_what_is_available_is_the_least_of_what_the_system_and_its_limits_leave(files, expected, monkeypatch):
    names = {"/sys/fs/cgroup/memory.max": "max", "/sys/fs/cgroup/memory.current": "current"}
    monkeypatch.setattr(memory, "_read", lambda path: files.get(names.get(str(path), str(path)), ""))
    assert memory.available(torch.device("cpu")) == expected


def test_elsewhere_half_of_all_memory_counts_as_available(monkeypatch):
    monkeypatch.setattr(memory, "_read", lambda path: "")
    assert GIB / 4 < memory.available(torch.device("cpu")) < 2**50


def test_running_out_of_memory_is_known_from_other_failures():
    for size, expected in ((2**55, True), (-1, False)):
        with pytest.raises(RuntimeError) as failure:
            torch.empty(size, dtype=torch.uint8)
        assert exhausted(failure.value) is expected
    assert exhausted(MemoryError())
    assert exhausted(torch.OutOfMemoryError("CUDA out of memory"))


class Hungry(torch.autograd.Function):
    """The identity, whose backward asks for more memory than there is when it is differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return Starving.apply(gradient, ctx.saved_tensors[0])


class Starving(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gradient, x):
        return gradient * x

    @staticmethod
    def backward(ctx, gradient):
        return torch.empty(2**55, dtype=torch.uint8), None


def test_a_product_that_runs_out_of_memory_is_not_taken_for_a_first_order_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return Hungry.apply(self.weight * x)

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        Hessian(Objective(Net(), nn.MSELoss(), [(torch.ones(2, 3), torch.zeros(2, 3))]))


@pytest.mark.parametrize(
    ("config", "said"),
    [(command.Config, "a smaller --chunk needs less"), (hessian.Config, "--no-keep-graph")],
)
def test_a_command_says_what_lowers_it(config, said, digits_checkpoint, capsys):
    def measure(subject, settings):
        torch.empty(2**55, dtype=torch.uint8)
        return {"table": pd.DataFrame({"a": [1]})}

    def run(settings) -> Result:
        return command.analyse(settings, measure)

    path = digits_checkpoint("tet")
    assert line.main(config, run, [str(path), "--quiet"], "prog") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"prog: error: {path}: out of memory on cpu (33,554,432 GiB asked for): ")
    assert said in error
    assert error.count("\n") == 1


CPU = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate {}"
    " bytes. Error code 12 (Cannot allocate memory)"
)
CUDA = "CUDA out of memory. Tried to allocate {}. GPU 0 has a total capacity of 139.72 GiB of which 1.12 GiB is free."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(CPU.format(4000000000000)), "3,725 GiB asked for"),
        (RuntimeError(CPU.format(12345)), "1.15e-05 GiB asked for"),
        (torch.OutOfMemoryError(CUDA.format("2.00 GiB")), "2 GiB asked for"),
        (torch.OutOfMemoryError(CUDA.format("128.00 MiB")), "0.125 GiB asked for"),
        (MemoryError("Unable to allocate 7.45 TiB for an array with shape (1000, 1000000)"), "7,629 GiB asked for"),
        (MemoryError("no memory for the membranes of all steps"), "no memory for the membranes of all steps"),
        (MemoryError(), "of a size that isn't known"),
    ],
)
def test_the_message_says_how_much_was_asked_for(error, said):
    def measure():
        raise error

    with pytest.raises(
        ValueError, match=f"^out of memory on cpu \\({re.escape(said)}\\): a smaller --chunk needs less$"
    ):
        command.guarded(measure, command.Config(()))


def test_other_runtime_errors_are_defects_and_keep_their_traceback(digits_checkpoint):
    def measure(subject, settings):
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        command.analyse(command.Config((digits_checkpoint("tet"),), quiet=True), measure)


@pytest.mark.parametrize(("flags", "fitting", "kept"), [([], True, True), ([], False, False), (NO_KEEP, True, False)])
def test_graphs_are_kept_where_they_fit_unless_told_not_to(flags, fitting, kept, digits_checkpoint, monkeypatch):
    seen = []

    class Noted(GaussNewton):
        def __init__(self, *arguments, keep_graph, **more):
            seen.append(keep_graph)
            super().__init__(*arguments, keep_graph=keep_graph, **more)

    monkeypatch.setattr(hessian, "fits", lambda objective: fitting)
    monkeypatch.setitem(curvature._OF_THE_DATA, "gauss_newton", Noted)
    argv = [str(digits_checkpoint("tet")), "--images", "5", "--loss", "tet", "--operator", "gauss_newton", "--quiet"]
    argv += ["--no-trace", "--no-density", "--no-radius", "--top", "1", "--bottom", "0", *flags]
    assert analysis.hessian.main(argv) == 0
    assert seen == [kept]
