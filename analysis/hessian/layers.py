"""The curvature of each layer by itself: the block of the matrix that belongs to one module's own parameters.

    A = [A_lm],   A_ll = ∂²L/∂w_l²    (or the same block of Gauss–Newton or a Fisher matrix)

By Cauchy's interlacing the top eigenvalue of a block is at most that of the whole matrix, and the traces of the blocks
add up to its trace (each here from random probes of its own, so only within their errors).
"""

from landscape.objective import Objective, Parameters

from ..subject import Batch, Subject
from .curvature import Rows, build, in_coordinates
from .flags import Config
from .saved_products import kept
from .spectrum import outline


def layers(subject: Subject, objective: Objective, batches: list[Batch], loss: str, config: Config) -> Rows:
    """Rows of table layers: one for each module that has parameters of its own, matrix and system of coordinates.

    In filter-normalized coordinates a layer without filters (BatchNorm) has no curvature, and no row.
    """
    rows: Rows = []
    for name in config.operators:
        for layer, names in by_layer(objective.parameters).items():
            weights = Parameters(objective.model, names)
            part = Objective(
                objective.model, objective.loss, batches, parameters=weights, group=objective.group, check=False
            )
            matrix = build(name, part, subject, config, checked=True)
            for coordinates in config.systems:
                if coordinates == "raw" or any(weight.ndim > 1 for weight in part.parameters.tensors):
                    key = {"loss": loss, "operator": name, "coordinates": coordinates, "layer": layer}
                    operator = kept(in_coordinates(matrix, coordinates)[0], subject, part, config, key)
                    found = outline(operator, config, f"{loss} {name} {layer}")
                    rows.append({**key, "weights": part.parameters.dimension, **found})
    return rows


def by_layer(parameters: Parameters) -> dict[str, list[str]]:
    """The names of the parameters of each module, by the module's name, in the model's order; its own as "itself"."""
    found: dict[str, list[str]] = {}
    for name in parameters.names:
        found.setdefault(name.rpartition(".")[0] or "itself", []).append(name)
    return found
