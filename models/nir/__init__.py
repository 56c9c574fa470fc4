"""Networks exchanged as NIR graphs (Pedersen et al. 2024) as torch modules, time first.

    from models.nir import read

    network = read("network.nir", dt=1e-4, reset="set", integration="euler")
    logits = network(torch.rand(10, 32, 2, 34, 34))             # [time, batch, …] in and out

Graphs without loops of ``Input``, ``Output``, ``Affine``, ``Linear``, ``Conv2d``, ``SumPool2d``, ``AvgPool2d``,
``Flatten``, ``LIF`` and ``IF``; where edges meet, what comes along them is added. Any other node is refused by name.

NIR's neurons are equations in continuous time::

    LIF    τ dv/dt = v_leak − v + R I        IF    dv/dt = R I        a spike where v > v_threshold

How they are stepped is left open by NIR and has no default here. With one step of ``dt``, in the unit of τ (seconds in
most files), v ← a v + b I and

=============  =====================  =======================  ==================================
integration    a (IF: 1)              b (IF: R dt)             used by
=============  =====================  =======================  ==================================
``"euler"``    1 − dt/τ               R dt/τ                   Norse, snnTorch, SpikingJelly
``"exact"``    exp(−dt/τ)             R (1 − exp(−dt/τ))       Sinabs; a current that is constant over the step
=============  =====================  =======================  ==================================

and a spike sets v to v_reset (``reset="set"``) or takes v_threshold off it (``reset="subtract"``). A membrane begins at
0, so that a file with a v_leak other than 0, from which others begin, is refused.
"""

from .graph import Graph
from .reader import read

__all__ = ["Graph", "read"]
