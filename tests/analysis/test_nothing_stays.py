"""What an analysis computed with is gone when it has its tables: a process may measure hundreds of networks."""

import gc

import pytest
import torch

from analysis import energy, hessian, momentum, rise, robustness, sharpness, stability, surface, timesteps

FEW = {"images": 60, "chunk": 60, "quiet": True, "loss": "both"}
ANALYSES = {
    "energy": (energy, {"images": 60, "chunk": 60, "quiet": True}),
    "hessian": (
        hessian,
        FEW
        | {
            "top": 1,
            "bottom": 0,
            "tolerance": 0.5,
            "trace_tolerance": 1.0,
            "radii": 2,
            "draws": 2,
            "probes": 2,
            "max_products": 20,
        },
    ),
    "hessian-layers": (
        hessian,
        FEW
        | {
            "layers": True,
            "per_timestep": True,
            "trace": False,
            "density": False,
            "radius": False,
            "tolerance": 0.5,
            "probes": 2,
        },
    ),
    "momentum": (momentum, FEW | {"batches": 3, "batch_size": 20, "steps": 1}),
    "rise": (rise, FEW | {"radii": (0.1, 0.5), "draws": 2}),
    "robustness": (robustness, FEW | {"draws": 2}),
    "sharpness": (
        sharpness,
        FEW | {"draws": 2, "measures": ("average", "relative-flatness")},
    ),
    "stability": (stability, FEW),
    "surface": (surface, FEW | {"points": 3, "plane_points": 3, "draws": 1}),
    "surface-top": (surface, FEW | {"points": 3, "plane_points": 3, "draws": 1, "directions": "top"}),
    "timesteps": (timesteps, {"images": 60, "chunk": 60, "quiet": True, "max_timesteps": 2}),
}


def held() -> int:
    """Tensors that are there."""
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("name", ANALYSES)
def test_no_tensor_of_an_analysis_stays(name, digits_checkpoint):
    package, settings = ANALYSES[name]
    config = package.Config(checkpoints=(digits_checkpoint("tet"),), **settings)
    package.run(config)  # what is cached once may stay
    before = held()
    package.run(config)
    assert held() <= before
