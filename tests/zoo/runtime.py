"""Precisions, compiled and scripted models, what is open around a measure, models that keep things."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from .attention import SECOND
from .entry import Case, Entry, ce, classifier, images, mlp, then


def cast() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def uncached(model: Any, batch: Any) -> Tensor:
    """Autocast that casts anew at every use."""
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        return model(batch[0])


class Casting(nn.Module):
    """Opens autocast in its own forward, and uses its weight twice there."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        with cast():
            return self.b(torch.tanh(self.a(torch.tanh(self.a(x))))).float()


class Recasting(Casting):
    """The same, casting anew at every use."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
            return self.b(torch.tanh(self.a(torch.tanh(self.a(x))))).float()


def casting() -> Case:
    model, twin = Casting(), Recasting()
    twin.load_state_dict(model.state_dict())
    return Case(model, ce, images(5), twin=twin)


def wide(z: Tensor, y: Tensor) -> Tensor:
    return ce(z.float(), y)


def mixed() -> Case:
    """A frozen backbone in bfloat16, a head in float32."""

    def put(s: Any, x: Tensor) -> Tensor:
        return s.out(torch.tanh(s.body(x.bfloat16()).float()))

    model = then(put, body=nn.Linear(5, 4), out=nn.Linear(4, 3))
    model.body.to(torch.bfloat16).requires_grad_(False)
    return Case(model, ce, images(5))


def changed(change: Callable[[Any], Any], **more: Any) -> Callable[[], Case]:
    """A network after ``change`` (compiled, scripted …), and its twin without."""

    def make() -> Case:
        net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3))
        plain = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3))
        plain.load_state_dict(net.state_dict())
        return Case(change(net), ce, images(1, 3, 3), twin=plain, **more)

    return make


def in_place(net: Any) -> Any:
    net.compile(backend="eager")
    return net


class Remembering(nn.Module):
    """Keeps its last activation, and counts its passes, for whoever looks."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.last, self.passes, self.seen = mlp(), torch.zeros(0), 0, [torch.zeros(0)]
        self.count: Any
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.net[0](x)
        self.passes += 1
        self.seen = [*self.seen[-2:], self.last.detach()]
        self.count += 1
        return self.net(x)


class Table(nn.Module):
    """Builds its table of positions at the first pass, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.table: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None or len(self.table) < x.shape[1]:
            self.table = torch.arange(x.shape[1]).to(x) / 5
        return self.net(x + self.table)


class Kept(nn.Module):
    """Keeps the normalised weight of its first pass: later ones don't see that weights moved."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.ready: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.ready is None:
            self.ready = F.normalize(self.net[0].weight, dim=1)
        return self.net[2](torch.tanh(F.linear(x, self.ready)))


def forgetful(model: Any) -> None:
    model.ready = None


class Writing(nn.Module):
    """Works on its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(0.5).add_(1)
        return self.net(x)


def writing() -> Case:
    return Case(Writing(), ce, images(5), plain=lambda model, batch: model.net(batch[0] * 0.5 + 1))


def in_use() -> Case:
    """As in the midst of training: gradients accumulated, modes mixed, dropout about, training mode on."""
    case = classifier(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 3), shape=(5,))
    for weight in case.model.parameters():
        weight.grad = torch.randn_like(weight)
    case.model.train()
    case.model[1].eval()
    return case


def averaged() -> Case:
    """torch's own averaged model (SWA, EMA), measured itself; a count of updates is among its buffers."""
    net = classifier(mlp(), shape=(5,))
    model = AveragedModel(net.model)
    model.update_parameters(net.model)
    return Case(model, ce, net.batches)


class Pass(torch.autograd.Function):
    """A square with a backward of its own that can't be differentiated, though it says nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * grad


def once() -> Case:
    def put(s: Any, x: Tensor) -> Tensor:
        return s.out(Pass.apply(s.a(x)))

    model = then(put, a=nn.Linear(5, 4), out=nn.Linear(4, 3))
    return classifier(model, shape=(5,), plain=lambda model, batch: model.out(model.a(batch[0]).square()))


R = "runtime"
HALVED: dict[str, Any] = {"double": False, "tolerance": 0.1, "derivatives": False}
COARSE = dict.fromkeys(SECOND, "refused: digits|precision|float")
TWICE = dict.fromkeys(SECOND, "refused: differentia")
ENTRIES = (
    Entry("float32", R, lambda: classifier(mlp(), shape=(5,)), dtype=torch.float32, tolerance=1e-3, half=True),
    Entry("float32 conv", R, lambda: classifier(
        nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 3), shape=(2, 3, 3)),
        dtype=torch.float32, tolerance=1e-3),
    Entry("bfloat16", R, lambda: Case(mlp(), wide, images(5)), dtype=torch.bfloat16, double=False, tolerance=0.2,
          expects=COARSE, half=True),
    Entry("float16", R, lambda: Case(mlp(), wide, images(5)), dtype=torch.float16, double=False, tolerance=0.1,
          expects=COARSE),
    Entry("frozen bfloat16, float32 head", R, mixed, dtype=torch.float32, double=False, tolerance=1e-3, half=True),
    Entry("autocast inside", R, casting, dtype=torch.float32, **HALVED, half=True),
    Entry("autocast outside", R, lambda: Case(mlp(), wide, images(5), plain=uncached), dtype=torch.float32,
          around=cast, **HALVED, half=True),
    Entry("no_grad outside", R, lambda: classifier(mlp(), shape=(5,)), around=torch.no_grad, half=True),
    Entry("inference mode outside", R, lambda: classifier(mlp(), shape=(5,)), around=torch.inference_mode,
          expects={"all": "either: inference|gradient"}),
    Entry("compiled, eager", R, changed(lambda net: torch.compile(net, backend="eager"))),
    Entry("compiled, aot_eager", R, changed(lambda net: torch.compile(net, backend="aot_eager"))),
    Entry("compiled in place", R, changed(in_place)),
    Entry("scripted", R, changed(torch.jit.script), half=True),
    Entry("traced", R, changed(lambda net: torch.jit.trace(net.eval(), torch.randn(2, 1, 3, 3)))),
    Entry("data parallel", R, changed(nn.DataParallel)),
    Entry("remembers its activation", R, lambda: Case(Remembering(), ce, images(5)), half=True),
    Entry("remembers, used before", R, lambda: Case(Remembering(), ce, images(5)), dirty=True),
    Entry("table made at the first pass", R, lambda: Case(Table(), ce, images(5))),
    Entry("weight kept, reset", R, lambda: Case(Kept(), ce, images(5), {"reset": forgetful}, fresh=forgetful),
          dirty=True),
    Entry("weight kept, unasked", R, lambda: Case(Kept(), ce, images(5), fresh=forgetful),
          expects={"all": "either: reset|state|kept|weights"}),
    Entry("writes into its input", R, writing, half=True),
    Entry("in the midst of training", R, in_use, half=True),
    Entry("averaged model", R, averaged),
    Entry("backward once only", R, once, expects=TWICE, half=True),
)  # fmt: skip
