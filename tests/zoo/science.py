"""Models that differentiate, solve or gather in their forward; graphs, sparse inputs, complex weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .entry import SIZES, Case, Entry, ce, classifier, images, labels, mlp, mse, regression, then


class Energy(nn.Module):
    """Energy and forces of three particles on a line; forces are −∂E/∂x, with a graph or without."""

    def __init__(self, graph: bool = True):
        super().__init__()
        self.net, self.graph = mlp(3, 4, 1), graph

    def forward(self, x: Tensor) -> Any:
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            energy = self.net(place)[:, 0] + 0.5 * place.square().sum(1)
            force = -torch.autograd.grad(energy.sum(), place, create_graph=self.graph)[0]
        return {"energy": energy, "force": force} if self.graph else force


def energies() -> Case:
    def loss(z: Any, y: tuple[Tensor, Tensor]) -> Tensor:
        return (z["energy"] - y[0]).square() + 10 * (z["force"] - y[1]).square().mean(1)

    return Case(Energy(), loss, [(torch.randn(n, 3), (torch.randn(n), torch.randn(n, 3))) for n in SIZES])


def forces() -> Case:
    return Case(Energy(graph=False), mse, regression(3, outputs=3))


def score() -> Case:
    """Sliced score matching: the loss itself holds a derivative in the inputs."""

    def loss(model: Any, batch: Tensor) -> Tensor:
        x = batch.detach().requires_grad_()
        found = model(x)
        slices = torch.autograd.grad(found[:, 0].sum(), x, create_graph=True)[0][:, 0]
        return slices + 0.5 * found.square().sum(1)

    return Case(mlp(2, 4, 2), loss, [torch.randn(n, 2) for n in SIZES], closure=True)


def pinn() -> Case:
    """u_t = u_xx at collocation points: a second derivative in the loss."""

    def loss(model: Any, points: Tensor) -> Tensor:
        xt = points.detach().requires_grad_()
        first = torch.autograd.grad(model(xt).sum(), xt, create_graph=True)[0]
        second = torch.autograd.grad(first[:, 0].sum(), xt, create_graph=True)[0][:, 0]
        return (first[:, 1] - second).square()

    return Case(mlp(2, 4, 1), loss, [torch.rand(n, 2) for n in SIZES], closure=True)


def contrastive() -> Case:
    """Two views of each example in a closure over pairs, with the number of examples given by name."""

    def loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
        first, second = model(batch["a"]), model(batch["b"])
        return 1 - torch.cosine_similarity(first, second)

    batches = [{"a": torch.randn(n, 5), "b": torch.randn(n, 5)} for n in SIZES]
    return Case(mlp(), loss, batches, {"size": lambda batch: len(batch["a"])}, closure=True)


def through(function: Callable[[nn.Module, Tensor], Tensor], plainly: Callable[[Any, Tensor], Tensor]) -> Case:
    model = then(lambda s, x: function(s.net, x), net=mlp())
    return Case(model, ce, images(5), plain=lambda model, batch: plainly(model.net, batch[0]))


def along(net: Any, x: Tensor) -> Tensor:
    """What jvp along ones is: the derivative of s ↦ net(x + s)."""
    step = torch.zeros(len(x), 1, dtype=x.dtype, requires_grad=True)
    output = net(x + step)
    return torch.stack([torch.autograd.grad(output[:, k].sum(), step, create_graph=True)[0][:, 0] for k in range(3)], 1)


class Graphs(nn.Module):
    """Messages along edges, summed at nodes, nodes summed into graphs by index."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update, self.out = nn.Linear(4, 3), nn.Linear(5, 3), nn.Linear(3, 3)

    def forward(self, nodes: Tensor, edges: Tensor, graph: Tensor) -> Tensor:
        here, there = edges
        sent = torch.tanh(self.message(torch.cat([nodes[here], nodes[there]], 1)))
        got = torch.zeros(len(nodes), 3, dtype=nodes.dtype).index_add(0, there, sent)
        hidden = torch.tanh(self.update(torch.cat([nodes, got], 1)))
        pooled = hidden.new_zeros(int(graph.max()) + 1, 3).scatter_add(0, graph[:, None].expand(-1, 3), hidden)
        return self.out(pooled)


def graphs() -> Case:
    """Each batch is one large graph; there are as many examples as labels, not as nodes."""
    batches = []
    for y in labels():
        graph = torch.arange(len(y)).repeat_interleave(3)
        edges = torch.stack([torch.arange(3 * len(y)), torch.arange(3 * len(y)).roll(1)])
        batches.append(((torch.randn(3 * len(y), 2), edges, graph), y))
    return Case(Graphs(), ce, batches, plain=lambda model, batch: model(*batch[0]))


def sparse() -> Case:
    def plainly(model: Any, batch: Any) -> Tensor:
        return model(batch[0].to_dense())

    batches = [((torch.rand(len(y), 5) * (torch.rand(len(y), 5) > 0.5)).to_sparse(), y) for y in labels()]
    return Case(mlp(), ce, batches, plain=plainly)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(5, 4, dtype=torch.complex128) / 2)
        self.last = nn.Parameter(torch.randn(4, 3, dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x.to(torch.complex128) @ self.first)
        return (hidden @ self.last).abs()


class Spectral(nn.Module):
    """A Fourier layer: complex weights on the modes of a real signal, and real ones beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.modes, self.out = nn.Parameter(torch.randn(3, dtype=torch.complex128)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(torch.fft.irfft(torch.fft.rfft(x) * self.modes, n=4)))


class Flow(nn.Module):
    """A neural differential equation by Runge and Kutta, four steps."""

    def __init__(self) -> None:
        super().__init__()
        self.field, self.out = mlp(3, 4, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            first = self.field(x)
            second = self.field(x + 0.125 * first)
            x = x + 0.25 * second
        return self.out(x)


def solver() -> Case:
    """A layer that solves a linear system and takes a logarithm of a determinant."""

    def put(s: Any, x: Tensor) -> Tensor:
        matrix = torch.eye(4, dtype=x.dtype) + 0.1 * s.a.weight @ s.a.weight.T
        return s.out(torch.linalg.solve(matrix, torch.tanh(s.a(x)).T).T) + torch.logdet(matrix)

    return classifier(then(put, a=nn.Linear(5, 4), out=nn.Linear(4, 3)), shape=(5,))


def mixture() -> Case:
    """A mixture density network: a tuple of three heads."""

    def put(s: Any, x: Tensor) -> Any:
        hidden = torch.tanh(s.body(x))
        return s.share(hidden), s.mean(hidden), s.spread(hidden)

    def loss(z: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
        share, mean, spread = z
        terms = share.log_softmax(1) - spread - 0.5 * ((y - mean) / spread.exp()).square()
        return -terms.logsumexp(1)

    model = then(put, body=nn.Linear(2, 3), share=nn.Linear(3, 2), mean=nn.Linear(3, 2), spread=nn.Linear(3, 2))
    return Case(model, loss, regression(2))


S = "science"
HIDDEN = {"surface": "none", "gauss_newton": "refused: output", "remainder": "refused: output"}
NO_GRADIENT = dict.fromkeys(("worst", "gradient"), "refused: gradient")
ENTRIES = (
    Entry("energy and forces", S, energies, half=True, smooth=True),
    Entry("forces without a graph", S, forces, expects=NO_GRADIENT, derivatives=False, half=True),
    Entry("score matching, closure", S, score, expects=HIDDEN, smooth=True),
    Entry("pinn, closure", S, pinn, expects=HIDDEN, half=True, smooth=True),
    Entry("contrastive, closure", S, contrastive, expects=HIDDEN, smooth=True),
    Entry("vmap", S, lambda: through(
        lambda net, x: torch.vmap(net)(x), lambda net, x: torch.stack([net(row) for row in x]))),
    Entry("jvp", S, lambda: through(lambda net, x: torch.func.jvp(net, (x,), (torch.ones_like(x),))[1], along),
          half=True),
    Entry("graphs", S, graphs, half=True),
    Entry("sparse inputs", S, sparse, half=True),
    Entry("complex", S, lambda: Case(Complex(), ce, images(5)), half=True),
    Entry("complex and real", S, lambda: Case(Spectral(), ce, images(4)), double=False),
    Entry("flow", S, lambda: Case(Flow(), ce, images(3)), smooth=True),
    Entry("linear solver", S, solver, smooth=True),
    Entry("mixture density", S, mixture, half=True),
)  # fmt: skip
