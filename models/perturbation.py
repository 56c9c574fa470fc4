"""A network as hardware and noise would have it: unlike neurons, spikes lost and added, noisy images; for a while.

Each is a context in which the network computes something else, and after which it is as found::

    mismatch    threshold_i = threshold · exp(s ν_i)            decay_i = decay · (1 + s ν_i), clipped to [0, 1]
    spikes      s' = s · 1[U ≥ lost]                            s' = s + (1 − s) · 1[U < spurious]
    pixels      x' = x + scale · ν

ν is standard normal, U uniform in [0, 1). A neuron is a place in a layer's maps: its threshold and decay are drawn once
and hold for all steps and images. The threshold is lognormal, so that it stays positive with its median where it was;
for small s its relative spread is s. A decay near 1 piles up there.

Spikes go astray on the way to the next layer: a neuron whose spike is lost has fired and been reset, one whose axon
carries a spurious spike knows nothing of it. U is drawn for each neuron, image and step. The noise of a static image is
the same at every step, that of frames is not.

Numbers are drawn on the CPU, image by image, so they depend neither on the device nor on how images are split into
batches, and they depend on ``seed`` but not on the strength: a larger one disturbs more of the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .neurons.lif import LIF
from .neurons.surrogate import spike


@contextmanager
def mismatched(
    network: nn.Module, *, threshold: float = 0.0, decay: float = 0.0, seed: int | Sequence[int]
) -> Iterator[None]:
    """Thresholds and decays that differ from neuron to neuron with these relative spreads.

    Raises ValueError for a spread that is negative or not finite, and where there is no spiking neuron.
    """
    for name, spread in (("threshold", threshold), ("decay", decay)):
        if not 0 <= spread < float("inf"):
            raise ValueError(f"the spread of the {name} must be at least 0 and finite, got {spread}")

    def unlike(index: int, layer: LIF) -> Callable[..., Tensor]:
        def change(_layer: nn.Module, arguments: tuple[Tensor, ...], _spikes: Tensor) -> Tensor:
            (current,) = arguments
            normal = np.random.default_rng([*_key(seed), index]).standard_normal((2, *current.shape[2:]))
            levels = layer.threshold * np.exp(threshold * normal[0])
            decays = np.clip(layer.decay * (1 + decay * normal[1]), 0, 1)
            return _fire(layer, current, _like(current, levels), _like(current, decays))

        return change

    layers = enumerate(_neurons(network))
    with _attached([layer.register_forward_hook(unlike(index, layer)) for index, layer in layers]):
        yield


def _like(current: Tensor, values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=current.dtype, device=current.device)


def _fire(
    layer: LIF,
    current: Float[Tensor, "time batch *shape"],
    threshold: Float[Tensor, "*shape"],
    decay: Float[Tensor, "*shape"],
) -> Float[Tensor, "time batch *shape"]:
    """The loop of ``layer`` with a threshold and a decay for each neuron."""
    membrane = torch.zeros_like(current[0])
    spikes = []
    for step in current:
        membrane = decay * membrane + step
        spikes.append(spike(membrane - threshold, layer.surrogate))
        membrane = membrane * (1 - (spikes[-1].detach() if layer.detach_reset else spikes[-1]))
    return torch.stack(spikes)


@contextmanager
def unreliable(
    network: nn.Module, *, lost: float = 0.0, spurious: float = 0.0, seed: int | Sequence[int]
) -> Iterator[None]:
    """Every spike lost with probability ``lost``; after that, one where there is none with probability ``spurious``.

    Raises ValueError for a probability outside [0, 1], and where there is no spiking neuron.
    """
    for name, probability in (("lost", lost), ("spurious", spurious)):
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability of {name} spikes must lie in [0, 1], got {probability}")

    def astray(index: int) -> Callable[..., Tensor]:
        losing, adding = (np.random.default_rng([*_key(seed), index, kind]) for kind in range(2))

        def change(_layer: nn.Module, _arguments: tuple[Tensor, ...], spikes: Tensor) -> Tensor:
            if lost:
                spikes = spikes * (1 - _hits(lost, losing, spikes))
            if spurious:
                spikes = spikes + (1 - spikes) * _hits(spurious, adding, spikes)
            return spikes

        return change

    layers = enumerate(_neurons(network))
    with _attached([layer.register_forward_hook(astray(index)) for index, layer in layers]):
        yield


@contextmanager
def noisy(network: nn.Module, *, scale: Float[Tensor, "channel"], seed: int | Sequence[int]) -> Iterator[None]:
    """Gaussian noise of standard deviation ``scale`` on each channel of what goes into ``network``.

    Takes images [batch, channel, height, width] and frames [time, batch, channel, height, width]. Raises ValueError for
    a scale that is negative or not finite.
    """
    if not (scale.isfinite() & (scale >= 0)).all():
        raise ValueError(f"the noise's standard deviation must be at least 0 and finite, got {scale.tolist()}")
    generator = np.random.default_rng(_key(seed))

    def change(_network: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        images = arguments[0]
        normal = _by_image(generator.standard_normal, images, steps=images.dim() == 5).to(images.device, images.dtype)
        return images + scale[:, None, None].to(images.device, images.dtype) * normal, *arguments[1:]

    with _attached([network.register_forward_pre_hook(change)]):
        yield


def _neurons(network: nn.Module) -> list[LIF]:
    layers = [module for module in network.modules() if isinstance(module, LIF)]
    if not layers:
        raise ValueError("the network has no spiking neuron: there is no threshold, decay or spike to disturb")
    return layers


def _hits(probability: float, generator: np.random.Generator, like: Tensor) -> Tensor:
    uniform = _by_image(lambda shape: generator.random(shape, np.float32), like, steps=True)
    return (uniform < probability).to(like.dtype).to(like.device)


def _by_image(draw: Callable[[tuple[int, ...]], np.ndarray], like: Tensor, *, steps: bool) -> Tensor:
    """Numbers in the shape of ``like``, drawn image by image: for [time, batch, …] the batch is what counts up."""
    if not steps:
        return torch.from_numpy(draw(tuple(like.shape)))
    time, batch, *rest = like.shape
    return torch.from_numpy(draw((batch, time, *rest))).movedim(1, 0)


def _key(seed: int | Sequence[int]) -> list[int]:
    return [number % 2**64 for number in ([seed] if isinstance(seed, int) else seed)]


@contextmanager
def _attached(hooks: Sequence[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
