"""Names that modules had before they had rooms: ``landscape.lanczos`` is :mod:`landscape.spectrum.lanczos`.

Scripts that were written for them go on; new ones take what they need from :mod:`landscape` or a room.
"""

import sys
from importlib import import_module

_ROOMS = {
    "evaluation": "aliases batches checks checksum diagnosis guessing means recalibrate resetting state structure",
    "objective": "parameters closure derivative memory",
    "curvature": "operators linear_operator fisher coordinates",
    "spectrum": "lanczos krylov basis trace xtrace density diagonal frobenius eigenpairs wanted forecast bar",
    "surfaces": "directions points first_layer sampling moments shape topology paths bezier trajectory surface",
    "sharpness": "noise average worst m_sharpness pac_bayes radius smoothed norms quantize fisher_rao "
    "relative_flatness",
}


def alias() -> None:
    """Have the modules answer to their earlier names, too."""
    for room, names in _ROOMS.items():
        for name in names.split():
            sys.modules.setdefault(f"landscape.{name}", import_module(f"landscape.{room}.{name}"))
