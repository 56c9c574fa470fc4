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

The neurons are this project's, unless others are given: as :class:`Site`, each with where its images and steps lie.
Those of SpikingJelly, snnTorch and Norse keep their thresholds and decays in :mod:`models.perturbation.settings`.
"""

from .acting import why_not
from .images import noisy
from .mismatch import mismatched
from .sites import Record, Site, own, recording, sites
from .spikes import unreliable

__all__ = ["Record", "Site", "mismatched", "noisy", "own", "recording", "sites", "unreliable", "why_not"]
