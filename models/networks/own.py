"""Networks of the user's own: what a function or a class that the command line names returns."""

import torch
from torch import nn

from .. import code


def build(named: code.Named, *, seed: int) -> nn.Module:
    """The module that ``named`` returns, its weights drawn from ``seed``; torch's generators stay as they were.

    Raises CodeError for what is no module, or has no weights to train.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = code.made(named)
    if not isinstance(network, nn.Module):
        got = f"a {type(network).__name__}"
        raise code.CodeError(f"{named} returns {got}, expected a torch.nn.Module: write return nn.Sequential(…)")
    if not any(weight.requires_grad for weight in network.parameters()):
        raise code.CodeError(f"{named} returns a {type(network).__name__} without weights to train: give it parameters")
    return network


def declared(named: code.Named) -> nn.Module | None:
    """The module that ``named`` returns, without memory for its weights; None where its code can't make one so."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = code.made(named)
    except (Exception, SystemExit):  # noqa: BLE001 (of whatever kind: it is made in earnest then, and fails there)
        return None
    return network if isinstance(network, nn.Module) else None
