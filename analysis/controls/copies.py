"""Copies of a network that are known to differ in nothing that matters: weights rescaled, logits multiplied.

**rescaled**: the weights before each BatchNorm times c, and with them the mean and the variance that it has kept:
where it divides by the deviation of what it is given, c is gone again, and the function is the same. c is ½ or 2, drawn
for each layer or for each filter. There only: spiking neurons aren't homogeneous, and a scale anywhere else is seen.

**confident**: weights and biases of the layer that makes the logits times c: all logits are multiplied, the decision is
the same, and only how sure of itself the network is differs.

Powers of two change no digit of a product. The kept variance v takes ε's part too, v' + ε = c²(v + ε) to the last
digit, so that copies compute the same digits and no spike falls on the other side of its threshold. **It is proven on
images** that logits are the same (or c times as large) to rounding; what isn't so is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.checkpoint import Checkpoint, save

from ..energy.flow import tensors
from ..energy.folding import before_norms
from ..subject import Subject
from ..subject.copying import copied
from ..subject.passes import passes
from ..subject.sources import Batch

BY = ("layers", "filters")
_LAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ROUNDING = 1e-5  # of the largest logit, in float32
_IMAGES = 64


@torch.no_grad()
def rescaled(subject: Subject, by: str) -> nn.Module:
    """A copy with the same function, its weights before every BatchNorm rescaled by factors that its seed draws.

    ``by`` is "layers" or "filters". Raises ValueError where there is no layer before a BatchNorm, or the copy's logits
    aren't the network's.
    """
    batch = _few(subject)
    pairs = before_norms(subject, batch)
    if not pairs:
        raise ValueError(f"{subject.title} has no layer before a BatchNorm: no weights can be rescaled and do the same")
    generator = torch.Generator().manual_seed(subject.seed % 2**63)
    network = copied(subject.network).eval()
    for norm, layer in pairs.items():
        _rescale(network.get_submodule(layer), network.get_submodule(norm), by, generator)
    _check(subject, network, batch, 1.0)
    return network


def _rescale(layer: Any, norm: Any, by: str, generator: torch.Generator) -> None:
    if not isinstance(norm, _BatchNorm) or norm.running_var is None or norm.running_mean is None:
        return
    filters = len(norm.running_var)
    drawn = torch.randint(2, (filters if by == "filters" else 1,), generator=generator)
    factor = (0.5 * 4.0**drawn).expand(filters).to(norm.running_var)
    small = variance(norm.running_var, norm.eps, factor) < 0  # ε alone is more than a quarter of what is kept
    grow = small if by == "filters" else small.any().expand(filters)
    factor = torch.where(grow, torch.full_like(factor, 2.0), factor)
    norm.running_var.copy_(variance(norm.running_var, norm.eps, factor))
    norm.running_mean.mul_(factor)
    layer.weight.mul_(factor.view(-1, *[1] * (layer.weight.dim() - 1)))
    if layer.bias is not None:
        layer.bias.mul_(factor)


def variance(
    kept: Float[Tensor, " filter"], epsilon: float, factor: Float[Tensor, " filter"]
) -> Float[Tensor, " filter"]:
    """v' with v' + ε = c²(v + ε), where such a number is near, to the last digit."""
    wanted = factor.square() * (kept + epsilon)
    found = wanted - epsilon
    for near in (torch.nextafter(found, found + 1), torch.nextafter(found, found - 1)):
        found = torch.where((found + epsilon != wanted) & (near + epsilon == wanted), near, found)
    return found


@torch.no_grad()
def confident(subject: Subject, factor: float) -> nn.Module:
    """A copy whose logits are ``factor`` times the network's.

    Raises ValueError where there is no layer whose weights and biases multiply them.
    """
    batch = _few(subject)
    names = [name for name, module in subject.network.named_modules() if isinstance(module, _LAST)]
    for name in reversed(names):
        network = copied(subject.network).eval()
        layer: Any = network.get_submodule(name)
        layer.weight.mul_(factor)
        if layer.bias is not None:
            layer.bias.mul_(factor)
        if _off(subject, network, batch, factor) <= _ROUNDING:
            return network
    raise ValueError(f"{subject.title} has no layer that multiplies its logits: it can't be made more confident")


def _few(subject: Subject) -> Batch:
    return subject.batches(subject.there[0], min(_IMAGES, subject.count(subject.there[0])), _IMAGES)[0]


def _check(subject: Subject, network: nn.Module, batch: Batch, factor: float) -> None:
    if (off := _off(subject, network, batch, factor)) > _ROUNDING:
        raise ValueError(f"{subject.title}: its copy's logits differ by {off:.2g} of the largest, so it is no copy")


def _off(subject: Subject, network: nn.Module, batch: Batch, factor: float) -> float:
    """How far the copy's logits are from ``factor`` times the network's, over the largest of these."""
    one, other = (_logits(subject, each, batch) for each in (subject.network, network))
    scale = max((float((factor * each).abs().max()) for each in one), default=0.0)
    far = max(float((factor * a - b).abs().max()) for a, b in zip(one, other, strict=True))
    return far / scale if scale else far


def _logits(subject: Subject, network: nn.Module, batch: Batch) -> list[Tensor]:
    return [
        tensor.double()
        for returned, _ in passes(replace(subject, network=network), [batch], None)
        for tensor in tensors(returned)
    ]


def copy(source: Path, control: str, level: str, out: Path, how: Mapping[str, Any]) -> Path:
    """Write the copy of a checkpoint that ``control`` asks for at ``level`` to ``out``; returns its file.

    ``how`` holds data_root, device and code. Raises ValueError where there can't be one.
    """
    subject = Subject.load(source, **how)
    network = rescaled(subject, level) if control == "rescaled" else confident(subject, float(level))
    found: Checkpoint = subject.trained("a control")
    weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    training = found.training | {"method": f"{found.training['method']}+{control}-{level}"}
    out.mkdir(parents=True, exist_ok=True)
    save(replace(found, state_dict=weights, training=training, resume=None, path=None), out / "ckpt.pt")
    return out / "ckpt.pt"
