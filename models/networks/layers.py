"""Layers for tensors [time, batch, channel, height, width], and the network they make.

Layers without memory treat the steps as so many more images: time is folded into the batch. For BatchNorm that means
one set of statistics and of affine parameters over time × batch. Each layer is a subclass of torch's own with the same
parameter names, so whatever looks for an ``nn.Conv2d`` finds one.

tdBN (Zheng et al. 2021) multiplies the normalised value by α · threshold, the weight and bias coming after::

    y = weight · α · threshold · (x − mean) / std + bias

with α = 1, except 1/√2 where two branches are summed before a neuron. Deng et al. 2022 name tdBN, but their code is
plain BatchNorm with time folded in; the networks' ``norm`` argument chooses ("batch", the default, or "tdbn").
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from ..neurons import normalized
from ..neurons.lif import LIF, Neuron
from ..validation import check_timesteps
from . import means
from .settled import settled, takes

Maps = Float[Tensor, "time batch _channel _height _width"]
Given = Float[Tensor, "given batch _channel _height _width"]


def _each_step(layer: Callable[[Tensor], Tensor], maps: Maps) -> Maps:
    output = layer(maps.flatten(0, 1))
    return output.view(*maps.shape[:2], *output.shape[1:])


class Conv2d(nn.Conv2d):
    """Convolution of every step's maps."""

    linear_in_weights: ClassVar[bool] = True
    of_its_input: ClassVar[bool] = True

    def forward(self, input: Maps) -> Maps:  # noqa: A002 - torch's name
        """[time, batch, in_channels, H, W] to [time, batch, out_channels, H', W']."""
        return _each_step(super().forward, input)


class BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm with statistics over time, batch and space; ``scale`` is tdBN's α · threshold."""

    of_its_input: ClassVar[bool] = True

    def __init__(self, num_features: int, scale: float = 1.0):
        super().__init__(num_features)
        self.scale = scale

    def forward(self, input: Maps) -> Maps:  # noqa: A002 - torch's name
        """The same shape back."""
        output = _each_step(self._normalized, input)
        if self.scale == 1:
            return output
        return torch.lerp(self.bias[:, None, None], output, self.scale)

    def _normalized(self, maps: Tensor) -> Tensor:
        held = self.weight, self.bias, self.running_mean, self.running_var
        return super().forward(maps) if self.training or not takes(maps, *held) else settled(maps, *held, self.eps)

    def trained(self) -> normalized.Norm:
        """What it does in training."""
        return normalized.Norm(self.weight if self.scale == 1 else self.scale * self.weight, self.bias, self.eps)

    @torch.no_grad()
    def track(self, mean: Float[Tensor, " channel"], variance: Float[Tensor, " channel"], count: int | Tensor) -> None:
        """Move the running statistics towards those of a batch with ``count`` numbers a channel (biased variance)."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        momentum = self.momentum or 0.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        self.num_batches_tracked.add_(1)


class AvgPool2d(nn.AvgPool2d):
    """Mean over windows of every step's maps; of spikes, a graded value that no neuron turns back into spikes."""

    of_its_input: ClassVar[bool] = True

    def forward(self, input: Maps) -> Maps:  # noqa: A002 - torch's name
        """[time, batch, C, H, W] to [time, batch, C, H', W']."""
        return _each_step(self._mean, input)

    def _mean(self, maps: Tensor) -> Tensor:
        return means.halved(maps) if means.takes(self, maps) else super().forward(maps)


class MaxPool2d(nn.MaxPool2d):
    """Maximum over windows of every step's maps; of spikes, spikes again."""

    of_its_input: ClassVar[bool] = True

    def forward(self, input: Maps) -> Maps:  # noqa: A002 - torch's name
        """[time, batch, C, H, W] to [time, batch, C, H', W']."""
        return _each_step(super().forward, input)


class GlobalAvgPool(nn.Module):
    """Mean over space."""

    of_its_input: ClassVar[bool] = True

    def forward(self, maps: Maps) -> Float[Tensor, "time batch _channel"]:
        """[time, batch, C, H, W] to [time, batch, C]."""
        return maps.mean((-2, -1))


def normalization(kind: str, channels: int, neuron: Neuron, *, alpha: float = 1.0) -> BatchNorm2d:
    """The BatchNorm before a ``neuron``: plain for "batch", scaled by ``alpha`` · threshold for "tdbn"."""
    if kind not in ("batch", "tdbn"):
        raise ValueError(f"norm must be 'batch' or 'tdbn', got {kind!r}")
    return BatchNorm2d(channels, scale=alpha * neuron.threshold if kind == "tdbn" else 1.0)


def fire(
    norm: BatchNorm2d, neuron: nn.Module, maps: Given, plus: Maps | None = None, steps: int | None = None,
    plus_norm: BatchNorm2d | None = None,
) -> Maps:  # fmt: skip
    """``neuron(norm(maps) + plus_norm(plus))``; in one where that is only faster (:mod:`models.neurons.normalized`).

    Without ``plus_norm``, ``plus`` is added as it is. Maps of a static image are one step, which counts at each of
    ``steps``.
    """
    steps = len(maps) if steps is None else steps
    kernels = _one(norm, neuron, maps, steps)
    if plus_norm and plus is not None and not (kernels and _trains(plus_norm) and kernels.norms_plus(maps, plus)):
        plus, plus_norm = plus_norm(plus), None
    if not kernels or not isinstance(neuron, LIF):
        current = norm(maps).expand(steps, *maps.shape[1:])
        return neuron(current if plus is None else current + plus)
    other = plus_norm.trained() if plus_norm else None
    spikes, statistics = normalized.normalized_spikes(maps, norm.trained(), plus, other, steps, neuron, kernels)
    for each, found in zip((norm, plus_norm), statistics, strict=False):
        if each:
            each.track(*found, maps.numel() // maps.shape[2])
    return spikes


def _one(norm: nn.Module, neuron: nn.Module, maps: Tensor, steps: int) -> normalized.Kernels | None:
    """What computes the two layers as one, if anything may: in training with gradients, nobody looking between."""
    if isinstance(neuron, LIF) and _trains(norm) and torch.is_grad_enabled() and not _watched(neuron):
        return normalized.kernels(maps, steps, neuron)
    return None


def _trains(norm: nn.Module) -> bool:
    return type(norm) is BatchNorm2d and norm.training and norm.momentum is not None and not _watched(norm)


def _watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or bool(_has_any_global_hook())


class Stack(nn.Sequential):
    """Layers in a row, of which a BatchNorm and the neuron behind it may be computed as one (:func:`fire`)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """As ``nn.Sequential``."""
        return _in_turn(list(self), input, len(input))

    def before_norm(self, input: Tensor) -> tuple[Tensor, BatchNorm2d | None]:  # noqa: A002 - torch's name
        """What a BatchNorm at the end gets, and that BatchNorm; or what comes out, and None."""
        layers = list(self)
        if layers and isinstance(layers[-1], BatchNorm2d) and not _watched(self):
            return _in_turn(layers[:-1], input, len(input)), layers[-1]
        return self(input), None


def _in_turn(layers: list[nn.Module], maps: Tensor, steps: int) -> Tensor:
    while layers:
        layer = layers.pop(0)
        if layers and isinstance(layer, BatchNorm2d) and isinstance(layers[0], LIF):
            maps = fire(layer, layers.pop(0), maps, steps=steps)
        else:
            maps = layer(maps)
    return maps


class Network(nn.Module):
    """Images or frames to logits at every step.

    ``stem`` is everything linear before the first neuron (convolution and BatchNorm), ``body`` everything from the
    first neuron to the logits; subclasses set both. ``timesteps`` is what a static image is shown for unless
    ``forward`` is told otherwise: 1 for a non-spiking network and ``usual_timesteps`` for others, unless given.
    ``arguments`` is a flat dict of plain values that rebuilds the network (:func:`models.networks.build`).
    """

    usual_timesteps: ClassVar[int] = 4
    stem: nn.Module
    body: nn.Module

    def __init__(self, *, num_classes: int, timesteps: int | None, neuron: Neuron, **arguments: int | str):
        super().__init__()
        if timesteps is None:
            timesteps = self.usual_timesteps if neuron.spiking else 1
        counts = {"num_classes": num_classes, "timesteps": timesteps, **arguments}
        for name, value in counts.items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        check_timesteps(timesteps)
        self.num_classes = num_classes
        self.timesteps = timesteps
        self.arguments: dict[str, bool | int | float | str] = {**counts, **asdict(neuron)}

    def forward(self, x: Float[Tensor, "..."], timesteps: int | None = None) -> Float[Tensor, "time batch class"]:
        """Logits at each step; their mean over time is the prediction, and is left to the caller.

        ``x`` is a batch of static images [batch, channel, height, width], shown for ``timesteps`` steps (the network's
        own unless given), or of frames [time, batch, channel, height, width], of which the first ``timesteps`` are used
        (all unless given). A static image goes through the stem once, since its current is the same at every step. In
        eval mode that is exact; in train mode outputs and gradients are the same too, and only the stem's
        ``running_var`` differs from that of repeated images: its Bessel factor n/(n − 1) counts each pixel once.

        ValueError for fewer than one step, more than 10,000 or than frames, or another number of dimensions.
        """
        if x.dim() not in (4, 5):
            raise ValueError(
                "expected images [batch, channel, height, width] or frames [time, batch, channel, height, width], "
                f"got a tensor of shape {list(x.shape)}"
            )
        steps = timesteps if timesteps is not None else len(x) if x.dim() == 5 else self.timesteps
        check_timesteps(steps)
        if x.dim() == 5 and steps > len(x):
            raise ValueError(f"{steps} timesteps asked of {len(x)} frames: give more frames or ask for fewer steps")
        frames = x.unsqueeze(0) if x.dim() == 4 else x[:steps]
        layers = self._joined()
        if layers:
            return _in_turn(layers, frames, steps)
        current = self.stem(frames)
        return self.body(current.expand(steps, *current.shape[1:]))

    def _joined(self) -> list[nn.Module]:
        """All layers in a row where the stem's BatchNorm and the first neuron may be one: nobody looks between them."""
        stem, body = self.stem, self.body
        if not (isinstance(stem, nn.Sequential) and isinstance(body, nn.Sequential)):
            return []
        meet = isinstance(stem[-1], BatchNorm2d) and isinstance(body[0], LIF)
        return [*stem, *body] if meet and not _watched(stem) and not _watched(body) else []
