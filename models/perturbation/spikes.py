"""Spikes that go astray on the way to the next layer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .draws import attached, by_image, key
from .sites import Site, first, own

Generators = list[tuple[np.random.Generator, np.random.Generator]]


@contextmanager
def unreliable(
    network: nn.Module,
    *,
    lost: float = 0.0,
    spurious: float = 0.0,
    seed: int | Sequence[int],
    sites: Sequence[Site] | None = None,
) -> Iterator[None]:
    """Every spike lost with probability ``lost``; after that, one where there is none with probability ``spurious``.

    Of a layer that returns a tuple the first part is its spikes. One that is called once a step has generators of its
    own for each call of a pass. Raises ValueError for a probability outside [0, 1], where there is no spiking neuron,
    and for spurious spikes where outputs are others than 0 and 1.
    """
    for name, probability in (("lost", lost), ("spurious", spurious)):
        if not 0 <= probability <= 1:
            raise ValueError(f"the probability of {name} spikes must lie in [0, 1], got {probability}")
    layers = own(network) if sites is None else list(sites)
    if spurious and (graded := [site.title for site in layers if not site.binary]):
        raise ValueError(f"the outputs of {graded[0]} are others than 0 and 1: a spurious spike has no size there")
    calls = dict.fromkeys(range(len(layers)), 0)

    def anew(*_: Any) -> None:
        calls.update(dict.fromkeys(calls, 0))

    def astray(index: int, site: Site) -> Callable[..., Any]:
        made: Generators = []

        def change(_layer: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
            if len(made) == calls[index]:
                made.append(_generators([*key(seed), index], len(made)))
            losing, adding = made[calls[index]]
            calls[index] += 1
            spikes = first(output)
            if spikes is None:
                return output
            if lost:
                spikes = spikes * (1 - _hits(lost, losing, spikes, site.axis))
            if spurious:
                spikes = spikes + (1 - spikes) * _hits(spurious, adding, spikes, site.axis)
            return spikes if isinstance(output, Tensor) else (spikes, *output[1:])

        return change

    hooks = [network.register_forward_pre_hook(anew)]
    hooks += [site.module.register_forward_hook(astray(index, site)) for index, site in enumerate(layers)]
    with attached(hooks):
        yield


def _generators(place: list[int], call: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Those of a layer's first call in a pass, or of a later one: of what is lost, and of what is added."""
    later = [call] if call else []
    return np.random.default_rng([*place, 0, *later]), np.random.default_rng([*place, 1, *later])


def _hits(probability: float, generator: np.random.Generator, like: Tensor, axis: int) -> Tensor:
    uniform = by_image(lambda shape: generator.random(shape, np.float32), like, axis=axis)
    return (uniform < probability).to(torch.float32).to(like)
