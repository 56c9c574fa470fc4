"""A subject's network under each of the perturbations, and which of them it can suffer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from landscape.evaluation import described
from landscape.objective import Parameters
from landscape.sharpness import rounded
from landscape.surfaces import filter_scale
from models.perturbation import Site, mismatched, noisy, own, unreliable, why_not

from ..subject import Batch, Subject, complex_weight
from ..subject.watched import sites_of


def sites_in(subject: Subject) -> list[Site]:
    """Its layers of neurons; none without."""
    if not subject.spikes:
        return []
    return own(subject.network) if subject.checkpoint else sites_of(subject)


@contextmanager
def perturbed(
    network: nn.Module,
    name: str,
    strength: float,
    *,
    pixels: Float[Tensor, "*channel"],
    seed: Sequence[int],
    sites: Sequence[Site] | None = None,
    axis: int | None = None,
) -> Iterator[None]:
    """``network`` under the perturbation ``name`` of the table; ``pixels`` is each channel's standard deviation.

    ``sites`` are its neurons, by default all LIF; ``axis`` is that of the images in its inputs.
    """
    with ExitStack() as stack:
        if name in ("weight_noise", "rounding"):
            parameters = Parameters(network)
            weights = stack.enter_context(parameters.restored())
            if name == "rounding":
                parameters.assign(rounded(parameters, int(strength)))
            else:
                parameters.assign(weights + strength * filter_scale(parameters) * _normal(weights, seed))
        elif name == "input_noise":
            stack.enter_context(noisy(network, scale=strength * pixels, seed=seed, axis=axis))
        else:
            of_neurons = mismatched if name.endswith("spread") else unreliable
            stack.enter_context(of_neurons(network, **{name.partition("_")[0]: strength}, seed=seed, sites=sites))
        yield


def _normal(like: Tensor, seed: Sequence[int]) -> Tensor:
    generator = np.random.default_rng([number % 2**64 for number in seed])
    return torch.from_numpy(generator.standard_normal(len(like))).to(like.dtype).to(like.device)


def possible(subject: Subject, name: str, sites: Sequence[Site]) -> tuple[Sequence[Site] | None, str]:
    """The layers of neurons that can suffer the perturbation, None where the network can't; and what is left out, why.

    The latter goes on from the perturbation's name, and is empty where nothing is left out.
    """
    if name == "input_noise":
        inputs = subject.batches(subject.there[0], 1, 1)[0][0]
        if isinstance(inputs, Tensor) and inputs.is_floating_point():
            return sites, ""
        return None, f"is left out: its input is {described(inputs)}, no tensor of real numbers"
    if name == "rounding" and (named := complex_weight(subject.network)):
        return None, f"is left out: parameter {named!r} is complex, and real weights alone are rounded"
    reasons = _reasons(subject, name, sites)
    able = [site for site, why in zip(sites, reasons, strict=True) if not why]
    told = list(filter(None, reasons))
    if sites and not able:
        return None, f"is left out: {told[0]}"
    return able, f"leaves out {len(told)} of {len(sites)} layers of neurons: {'; '.join(told)}" if told else ""


def _reasons(subject: Subject, name: str, sites: Sequence[Site]) -> list[str]:
    """For each layer why it can't suffer the perturbation; empty where it can."""
    if name == "spurious_spikes":
        return ["" if site.binary else f"the outputs of {site.title} are others than 0 and 1" for site in sites]
    if not name.endswith("spread"):
        return [""] * len(sites)
    kind: Literal["threshold", "decay"] = "threshold" if name.startswith("threshold") else "decay"
    evaluation = subject.evaluation([])
    with torch.no_grad(), evaluation.evaluating():
        return [why_not(site, kind, partial(evaluation.ready, None)) for site in sites]


def channel_spread(batches: Sequence[Batch], subject: Subject, split: str = "") -> Float[Tensor, "*channel"]:
    """Standard deviation of each channel's pixels over all images (and frames), so that it broadcasts over them.

    Channels are the third axis from behind of images and of their frames, the second of other inputs of more than four
    axes, and the features, the last axis, of those of two and three. Raises ValueError where the inputs, those of
    ``split``, aren't finite.
    """
    if wrong := sum(not inputs.isfinite().all() for inputs, _ in batches):
        where = f"{subject.title}, {split} data" if split else subject.title
        raise ValueError(
            f"{where}: inputs hold NaN or infinity ({wrong} of {len(batches)} batches): no noise is scaled to them"
        )
    axes = batches[0][0].ndim
    framed = subject.spiking is not None and subject.spiking.frames is not None
    volume = axes > 5 or (axes == 5 and not framed)
    channel = 1 - axes if volume else -3 if axes > 3 else -1
    if axes < 2:
        return torch.cat([images for images, _ in batches]).std(correction=0)
    channels = torch.cat([images.movedim(channel, 0).flatten(1) for images, _ in batches], dim=1)
    found = channels.std(1, correction=0)
    return found.reshape(-1, *[1] * (axes - 2)) if volume else found
