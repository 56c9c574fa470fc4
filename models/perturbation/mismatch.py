"""Thresholds and decays that differ from neuron to neuron."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..neurons.lif import LIF
from ..neurons.surrogate import spike
from . import settings
from .draws import attached, key
from .sites import Site, own


@contextmanager
def mismatched(
    network: nn.Module,
    *,
    threshold: float = 0.0,
    decay: float = 0.0,
    seed: int | Sequence[int],
    sites: Sequence[Site] | None = None,
) -> Iterator[None]:
    """Thresholds and decays that differ from neuron to neuron with these relative spreads.

    A neuron of several decays has a draw for each. Raises ValueError for a spread that is negative or not finite, and
    where there is no spiking neuron.
    """
    for name, spread in (("threshold", threshold), ("decay", decay)):
        if not 0 <= spread < float("inf"):
            raise ValueError(f"the spread of the {name} must be at least 0 and finite, got {spread}")
    layers = own(network) if sites is None else list(sites)
    with ExitStack() as stack:
        for index, site in enumerate(layers):
            place = [*key(seed), index]
            if isinstance(site.module, LIF):
                hook = site.module.register_forward_hook(_unlike(site.module, threshold, decay, place))
                stack.enter_context(attached([hook]))
            else:
                stack.enter_context(settings.given(site.module, _values(site, threshold, decay, place), site.like))
        yield


def _unlike(layer: LIF, threshold: float, decay: float, place: list[int]) -> Callable[..., Tensor]:
    def change(_layer: nn.Module, arguments: tuple[Tensor, ...], _spikes: Tensor) -> Tensor:
        (current,) = arguments
        normal = np.random.default_rng(place).standard_normal((2, *current.shape[2:]))
        levels = layer.threshold * np.exp(threshold * normal[0])
        decays = np.clip(layer.decay * (1 + decay * normal[1]), 0, 1)
        return _fire(layer, current, _like(current, levels), _like(current, decays))

    return change


def _values(site: Site, threshold: float, decay: float, place: list[int]) -> list[tuple[settings.Setting, Tensor]]:
    """What each of the layer's neurons is given; only what has a spread."""
    level, leaks = settings.threshold(site.module), settings.decays(site.module)
    normal = torch.from_numpy(np.random.default_rng(place).standard_normal((1 + max(1, len(leaks)), *site.shape)))
    found = []
    if threshold and level:
        found.append((level, settings.value(site.module, level).cpu() * (threshold * normal[0]).exp()))
    for leak, draw in zip(leaks if decay else (), normal[1:], strict=False):
        found.append((leak, (settings.value(site.module, leak).cpu() * (1 + decay * draw)).clamp(0, 1)))
    return found


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
