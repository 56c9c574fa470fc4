"""Which rows of the comparison don't hold with logits at one scale: each held against its own curve and radius."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import compare
from analysis.compare.confidence import depends_on_scale
from analysis.compare.measures import KEYS
from analysis.compare.rises import compared

from .test_compare import tables, write

RADII = (0.1, 0.25, 0.5, 1.0)
DOUBT = "not so with logits at one scale"


def curves(sides: dict[tuple[str, str], tuple[str, ...]], **other) -> pd.DataFrame:
    """Curves whose flatter side ``here`` is given by (along, logits) at each radius, for method tet and loss sdt.

    What the band over all radii says ("flatter") is another matter, and no row's.
    """
    place = {"method": "tet", "loss": "sdt", "split": "train"} | other
    rows = [
        place | {"along": along, "logits": logits, "radius": radius, "here": flatter, "flatter": ""}
        for (along, logits), named in sides.items()
        for radius, flatter in zip(RADII, named, strict=True)
    ]
    return pd.DataFrame(rows)


def flat(measure: str, **other) -> dict[str, object]:
    row = {"measure": measure, "loss": "sdt", "method": "tet", "flatter": "tet", "reference_mean": 3.0}
    return row | {"method_mean": 1.0} | other


TET, SDT, NONE = ("tet",) * 4, ("sdt",) * 4, ("",) * 4
ALONG = ("line", "plane", "noise")


@pytest.mark.parametrize(
    ("measure", "along", "place"),
    [
        ("rise_within[line,0.5]", "line", 2),
        ("rise_within[plane,0.25]", "plane", 1),
        ("inverse_doubling_radius[plane]", "plane", 2),  # 1/2, the means' mean being 2
        ("inverse_half_width[line,0.5]", "line", 2),
        ("average_rise[0.1]", "noise", 0),
        ("average_rise[0.9]", "noise", 3),  # the nearest
        ("average_rise_magnitude[0.5]", "noise", 0),
        ("top_eigenvalue[hessian]", "noise", 0),
        ("relative_flatness", "noise", 0),
    ],
)
@pytest.mark.parametrize("held", ["tet", "sdt", ""])
def test_a_row_is_held_against_the_scaled_curve_at_its_own_place(measure, along, place, held):
    own = tuple(held if at == place else {"tet": "sdt"}.get(held, "tet") for at in range(4))
    other = SDT if held == "tet" else TET  # what all other curves would say
    given = curves({(one, "network"): own if one == along else other for one in ALONG}
                   | {(one, scale): other for one in ALONG for scale in ("plain", "example")})  # fmt: skip
    assert depends_on_scale(flat(measure), given) is (held != "tet")


def test_without_a_flatter_side_or_a_curve_of_its_own_there_is_no_doubt():
    every = curves({(one, scale): SDT for one in ALONG for scale in ("plain", "network", "example")})
    top = flat("top_eigenvalue[hessian]")
    assert depends_on_scale(top, every)
    assert not depends_on_scale(top | {"flatter": ""}, every)
    for column, word in (("loss", "tet"), ("method", "third"), ("along", "line"), ("logits", "plain")):
        assert not depends_on_scale(top, every[every[column] == word] if column in ("along", "logits") else
                                    every.assign(**{column: word}))  # fmt: skip
    assert not depends_on_scale(top, pd.DataFrame())


@pytest.mark.parametrize("scaled", ["tet", "sdt", "neither"])
def test_the_comparison_s_rows_carry_that_doubt(scaled, tmp_path):
    found = tables({"sdt": [10.0, 11, 12, 13], "tet": [5.0, 5.5, 6.5, 7]})
    runs = found["hessian"].drop_duplicates("checkpoint")
    rows = []
    for run in runs.to_dict("records"):
        for logits in ("plain", "network"):
            flatter = "tet" if logits == "plain" else scaled
            for radius in RADII:
                rise = (1.0 if run["method"] == flatter else 3.0) * radius
                rows.append(
                    {name: run[name] for name in KEYS}
                    | {"loss": "sdt", "logits": logits, "split": "train", "along": "noise", "draw": 0}
                    | {"radius": radius, "rise": rise + 0.01 * radius * run["seed"] * (1 + (run["method"] == "tet"))}
                    | {"images": 9, "value": 1.0}
                )
    write(tmp_path, found | {"rise": pd.DataFrame(rows)})
    table = compare.run(compare.Config((tmp_path,), resamples=20)).to_frame().set_index("measure")
    assert table.loc["top_eigenvalue[hessian]", "flatter"] == "tet"
    assert (DOUBT in str(table.loc["top_eigenvalue[hessian]", "trust"])) is (scaled != "tet")
    assert not table.drop(index="top_eigenvalue[hessian]")["trust"].str.contains(DOUBT).any()


def test_a_row_and_the_curve_that_it_is_held_against_are_judged_by_one_interval():
    """What Student's interval at a radius calls is called, where the band that holds all radii at once is too wide."""
    radii, seeds = np.array(RADII), range(4)
    noise = np.random.default_rng(3).normal(size=(len(seeds), len(radii)))
    gaps = 3.4 + noise  # t is near 4: beyond Student's quantile, short of the band's
    place = {"network": "net", "data": "data", "loss": "ce", "split": "train", "along": "noise", "logits": "network"}
    rows = [
        place
        | {"method": method, "seed": seed, "checkpoint": f"{method}-{seed}", "radius": radius}
        | {"rise": 10.0 - (method == "tet") * gaps[seed, at] * (1 + 0.3 * seed)}
        for method in ("sdt", "tet")
        for seed in seeds
        for at, radius in enumerate(radii)
    ]
    found, _ = compared(pd.DataFrame(rows), "sdt", "tet")
    own = -gaps * (1 + 0.3 * np.arange(len(seeds)))[:, None]
    p = stats.ttest_1samp(own, 0.0).pvalue
    assert found["here"].tolist() == ["tet" if one < 0.05 else "" for one in np.atleast_1d(p)]
    wide = (found["low"] <= 0) & (found["high"] >= 0)
    assert (wide & (found["here"] == "tet")).any()
    assert found.loc[wide, "flatter"].eq("").all()
