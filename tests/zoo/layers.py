"""Every layer of torch.nn that has parameters, alone in a small network; recurrent ones and attention lie elsewhere."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .entry import Case, Entry, ce, classifier, images, labels, lively, mlp, then, tokens

T = nn.Tanh


def convolutional(layer: Callable[[], nn.Module], shape: tuple[int, ...], channels: int = 3) -> Callable[[], Case]:
    """The layer on maps of ``shape``, pooled, and a linear readout of its channels."""
    pool: Any = {2: nn.AdaptiveAvgPool1d, 3: nn.AdaptiveAvgPool2d, 4: nn.AdaptiveAvgPool3d}[len(shape)]
    return lambda: classifier(layer(), T(), pool(1), nn.Flatten(), nn.Linear(channels, 3), shape=shape)


def after_conv(layer: Callable[[], nn.Module], shape: tuple[int, ...] = (2, 4, 4)) -> Callable[[], Case]:
    """The layer on the four channels of a convolution."""
    conv: Any = {2: nn.Conv1d, 3: nn.Conv2d, 4: nn.Conv3d}[len(shape)]
    pool: Any = {2: nn.AdaptiveAvgPool1d, 3: nn.AdaptiveAvgPool2d, 4: nn.AdaptiveAvgPool3d}[len(shape)]
    return lambda: classifier(conv(shape[0], 4, 2), layer(), T(), pool(1), nn.Flatten(), nn.Linear(4, 3), shape=shape)


def bilinear() -> Case:
    model = then(lambda s, a, b: s.out(torch.tanh(s.both(a, b))), both=nn.Bilinear(3, 2, 4), out=nn.Linear(4, 3))
    batches = [((torch.randn(len(y), 3), torch.randn(len(y), 2)), y) for y in labels()]
    return Case(model, ce, batches, plain=lambda model, batch: model(*batch[0]))


def materialised(*layers: nn.Module, shape: tuple[int, ...]) -> Case:
    model = nn.Sequential(*layers)
    model(torch.randn(2, *shape))
    return classifier(*model, shape=shape)


def embedding(sparse: bool = False, **more: Any) -> Callable[[], Case]:
    def put(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(torch.tanh(model.words(x).mean(1)))

    def make() -> Case:
        words, out = nn.Embedding(6, 3, sparse=sparse, **more), nn.Linear(3, 3)
        plain = nn.Embedding(6, 3, **more)
        plain.load_state_dict(words.state_dict())
        return Case(then(put, words=words, out=out), ce, tokens(4), twin=then(put, words=plain, out=out))

    return make


def renormed() -> Case:
    """Rows longer than max_norm are cut to it in place, in the forward; no gradient goes through the cut."""

    def plainly(model: Any, batch: Any) -> torch.Tensor:
        weight = model.words.weight
        length = weight.detach().norm(dim=1, keepdim=True)
        cut = weight.detach() * torch.where(length > 0.5, 0.5 / (length + 1e-7), torch.ones_like(length))
        rows = (weight + (cut - weight).detach())[batch[0]]
        return model.out(torch.tanh(rows.mean(1)))

    case = embedding(max_norm=0.5)()
    case.plain = plainly
    return case


def bag(mode: str) -> Callable[[], Case]:
    return lambda: Case(nn.Sequential(nn.EmbeddingBag(6, 3, mode=mode), T(), nn.Linear(3, 3)), ce, tokens(4))


def weighted_bag() -> Case:
    def put(model: Any, x: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        return model.out(torch.tanh(model.words(x, per_sample_weights=share)))

    def plainly(model: Any, batch: Any) -> torch.Tensor:
        (x, share), _ = batch
        return model.out(torch.tanh((model.words.weight[x] * share[..., None]).sum(1)))

    model = then(put, words=nn.EmbeddingBag(6, 3, mode="sum"), out=nn.Linear(3, 3))
    batches = [((x, torch.rand(x.shape)), y) for x, y in tokens(4)]
    return Case(model, ce, batches, plain=plainly)


def training_norm() -> Case:
    case = classifier(nn.Linear(5, 4), nn.BatchNorm1d(4), T(), nn.Linear(4, 3), shape=(5,), sizes=(5, 4, 3))
    case.keywords["mode"] = "train"
    return case


def prelu(count: int) -> Callable[[], Case]:
    return lambda: classifier(nn.Linear(5, 4), nn.PReLU(count), nn.Linear(4, 3), shape=(5,))


def adaptive_softmax() -> Case:
    model = then(
        lambda s, x, y: s.head(torch.tanh(s.body(x)), y),
        body=nn.Linear(5, 4), head=nn.AdaptiveLogSoftmaxWithLoss(4, 6, cutoffs=[2, 4], div_value=2.0, head_bias=True),
    )  # fmt: skip
    return Case(
        lively(model), lambda output, y: -output.output, images(5, classes=6),
        {"unpack": lambda batch: (batch, batch[1])}, plain=lambda model, batch: model(*batch),
        score=lambda output, batch: -output.output,
    )  # fmt: skip


def flat_conv(**more: Any) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(2, 4, 3, **more)


L = "layer"
SECOND = ("hessian", "gauss_newton", "remainder")
ONCE = dict.fromkeys(SECOND, "refused: differentia")
SPARSE = dict.fromkeys(SECOND, "either: sparse|differentia")
ENTRIES = (
    Entry("linear", L, lambda: classifier(nn.Linear(5, 3), shape=(5,)), smooth=True,
          expects={"remainder": "either: zero|linear|vanish"}),
    Entry("linear twice", L, lambda: classifier(mlp(), shape=(5,)), half=True, smooth=True),
    Entry("linear on sequences", L, lambda: classifier(
        nn.Linear(3, 4), T(), nn.Flatten(), nn.Linear(12, 3), shape=(3, 3))),
    Entry("bilinear", L, bilinear),
    Entry("lazy linear", L, lambda: materialised(nn.LazyLinear(4), T(), nn.LazyLinear(3), shape=(5,))),
    Entry("lazy conv and norm", L, lambda: materialised(
        nn.LazyConv2d(4, 2), nn.LazyBatchNorm2d(), T(), nn.Flatten(), nn.LazyLinear(3), shape=(2, 3, 3))),
    Entry("conv1d", L, convolutional(lambda: nn.Conv1d(2, 3, 2), (2, 5))),
    Entry("conv2d", L, convolutional(lambda: nn.Conv2d(2, 3, 2, stride=2, padding=1), (2, 4, 4)), half=True),
    Entry("conv3d", L, convolutional(lambda: nn.Conv3d(2, 3, 2), (2, 3, 3, 3))),
    Entry("conv2d grouped dilated", L, convolutional(flat_conv(groups=2, dilation=2), (2, 5, 5), 4)),
    Entry("conv2d padded circularly", L, convolutional(
        flat_conv(padding=1, padding_mode="circular"), (2, 4, 4), 4)),
    Entry("conv2d no bias", L, convolutional(flat_conv(bias=False, padding="same"), (2, 4, 4), 4)),
    Entry("conv transpose 1d", L, convolutional(lambda: nn.ConvTranspose1d(2, 3, 2), (2, 4))),
    Entry("conv transpose 2d", L, convolutional(
        lambda: nn.ConvTranspose2d(2, 3, 2, stride=2, output_padding=1), (2, 3, 3)), half=True),
    Entry("conv transpose 3d", L, convolutional(lambda: nn.ConvTranspose3d(2, 3, 2), (2, 2, 2, 2))),
    Entry("embedding", L, embedding(), half=True),
    Entry("embedding padding_idx", L, embedding(padding_idx=0)),
    Entry("embedding max_norm", L, renormed, tolerance=1e-7, expects={"all": "either: max_norm|in place|writes|wrote"}),
    Entry("embedding sparse", L, embedding(sparse=True), expects=SPARSE),
    # torch has no second derivative of its bags, and says so.
    Entry("embedding bag mean", L, bag("mean"), expects=ONCE),
    Entry("embedding bag max", L, bag("max"), expects=ONCE),
    Entry("embedding bag weighted", L, weighted_bag, expects=ONCE),
    Entry("batch norm 1d", L, lambda: classifier(
        nn.Linear(5, 4), nn.BatchNorm1d(4), T(), nn.Linear(4, 3), shape=(5,)), half=True),
    Entry("batch norm 1d, train mode", L, training_norm, half=True),
    Entry("batch norm 2d", L, after_conv(lambda: nn.BatchNorm2d(4))),
    Entry("batch norm 2d, no statistics", L, after_conv(lambda: nn.BatchNorm2d(4, track_running_stats=False))),
    Entry("batch norm 3d", L, after_conv(lambda: nn.BatchNorm3d(4), (2, 3, 3, 3))),
    Entry("sync batch norm", L, after_conv(lambda: nn.SyncBatchNorm(4))),
    Entry("layer norm", L, lambda: classifier(
        nn.Linear(5, 4), nn.LayerNorm(4), T(), nn.Linear(4, 3), shape=(5,)), smooth=True),
    Entry("group norm", L, after_conv(lambda: nn.GroupNorm(2, 4))),
    Entry("instance norm", L, after_conv(lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True))),
    Entry("instance norm 1d", L, after_conv(lambda: nn.InstanceNorm1d(4, affine=True), (2, 6))),
    Entry("rms norm", L, lambda: classifier(nn.Linear(5, 4), nn.RMSNorm(4), T(), nn.Linear(4, 3), shape=(5,))),
    Entry("local response norm", L, after_conv(lambda: nn.LocalResponseNorm(2, alpha=0.5))),
    Entry("prelu", L, prelu(1)),
    Entry("prelu per channel", L, prelu(4)),
    # Its loss is linear in its outputs, so that Gauss–Newton is zero.
    Entry("adaptive log softmax", L, adaptive_softmax,
          expects=dict.fromkeys(("gauss_newton", "remainder"), "either: linear|zero")),
)  # fmt: skip
