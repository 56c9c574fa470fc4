"""Sentences of hand-made tables: numbers are SciPy's; zero in the interval decides nothing, nor does one network."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures.page import neuron
from figures.pictures import catalogue
from figures.report import command as report_command
from figures.words import kinds
from tables import reading as tables
from tests.figure_tables import identity

READINGS = {one.name: one.reading for one in catalogue.PICTURES}
SDT = (1.0, 2.0, 3.0, 4.5)
CLEAR, CROSSED = (2.0, 3.5, 4.0, 5.6), (2.0, 0.5, 4.0, 3.5)
BELOW, AROUND = (0.4, 0.5, 0.6, 0.5), (0.2, 1.5, 0.9, 1.3)


def table(sides, rows):
    """For every network the ``rows`` of its value; ``sides`` are the two methods' values, a seed each."""
    found = [
        identity(training, seed) | {"loss": training} | row
        for training, values in zip(("sdt", "tet"), sides, strict=True)
        for seed, value in enumerate(values)
        for row in rows(value)
    ]
    return pd.DataFrame(found)


def trajectory(sides):
    def path(value):
        return [{"kind": "plane", "epoch": epoch, "distance": value * (3 - epoch)} for epoch in (2, 0, 1)]

    def axes(value):
        kinds = (("plane", "trajectory", 1), ("line", "trajectory", 9), ("plane", "random", 9))
        return [
            {"kind": kind, "directions": name, "axis": axis, "explained": factor * value / 20}
            for kind, name, factor in kinds
            for axis in (1, 2)
        ]

    return {"surface_path": table(sides, path), "surface_axes": table(sides, axes)}


def pairs(sides):
    def cosines(value):
        found = {(1, 1): 1.0, (1, 2): value / 10, (2, 1): value / 10, (2, 2): 1.0}
        return [{"timestep": t, "other": s, "cosine": cosine} for (t, s), cosine in found.items()]

    return {"momentum_pairs": table(sides, cosines)}


def momentum_layers(sides):
    """Two layers whose lengths are in the ratio of 3 to √value: the first has the part 9 / (9 + value)."""

    def norms(value):
        found = {"a": 3.0, "b": np.sqrt(value)}
        head = {"timestep": 0, "coherence": 0.5, "coherence_null": 0.2}
        return [head | {"layer": name, "gradient_norm": norm} for name, norm in found.items()]

    def ratios(value):
        head = {"direction": "gradient", "relative_step": 0.01}
        return [head | {"layer": name, "ratio": factor * value} for name, factor in (("a", 0.01), ("b", 10.0))]

    return {"momentum_layers": table(sides, norms), "descent_layers": table(sides, ratios)}


def layers(sides):
    """Layer b's top eigenvalue is the value, a's the same for all; b's trace is value / 20 of a's."""

    def parts(value):
        head = {"loss": "sdt", "converged": True}
        return [
            head | {"operator": operator, "layer": name, "top_eigenvalue": top, "trace": trace}
            for operator in ("hessian", "gauss_newton")
            for name, top, trace in (("a", 1.0, 1.0), ("b", value, value / 20))
        ]

    return {"layers": table(sides, parts)}


def steps(sides):
    def parts(value):
        head = {"loss": "tet", "operator": "hessian", "converged": True}
        return [head | {"timestep": t, "top_eigenvalue": t * value, "trace": 1.0} for t in (1, 2, 3)]

    return {"steps": table(sides, parts)}


def stability(sides):
    def epochs(value):
        head = {"loss": "trained", "matrix": "hessian", "limit": 10.0}
        found = [(1, value, 10.0), (2, 10 * value, 10.0), (3, 99.0, np.inf), (4, 2 * value, 10.0)]
        return [head | {"epoch": epoch, "top_eigenvalue": top, "limit": limit} for epoch, top, limit in found]

    return {"stability": table(sides, epochs)}


def ways(sides):
    def accuracies(value):
        head = {"split": "test", "frames": "repeated", "trained_timesteps": 4}
        return [
            head | {"statistics": name, "timesteps": steps, "accuracy_cumulative": 0.5 + gain / 100}
            for name, gain in (("trained", 0.0), ("recalibrated", value))
            for steps in (1, 8)
        ]

    return {"timesteps": table(sides, accuracies)}


def read(name, frames):
    doubtless = pd.DataFrame([{"reference": "sdt", "method": "tet", "measure": "test_accuracy", "trust": ""}])
    return READINGS[name](frames | {"compare": doubtless})


def told(number):
    return f"{number:.3g}".replace("-", "−")


COMPARED = {
    # picture: its tables, of values; what is compared, of values; the words before the verdict
    "trajectory": (trajectory, lambda x: 3 * x, "after epoch 0 to the final ones, in ‖w‖,"),
    "momentum-pairs": (pairs, lambda x: x / 10, "the gradients of two timesteps"),
    "steps": (steps, lambda x: x, "one timestep's part of the TET loss"),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_clear_difference_is_told_with_scipys_interval(name):
    make, compared, words = COMPARED[name]
    sdt, tet = (compared(np.array(side)) for side in (SDT, CLEAR))
    low, high = stats.ttest_rel(tet, sdt).confidence_interval(0.95)
    text = read(name, make((SDT, CLEAR)))
    assert f"{words} is higher with TET than with SDT" in text
    assert f"difference {told(np.mean(tet - sdt))}, 95 % interval {told(low)} … {told(high)}, n = 4" in text
    lower = read(name, make((CLEAR, SDT)))
    assert f"{words} is lower with TET than with SDT" in lower


@pytest.mark.parametrize("name", COMPARED)
def test_an_interval_that_contains_zero_decides_nothing(name):
    make, _, words = COMPARED[name]
    text = read(name, make((SDT, CROSSED)))
    assert f"{words} can't be told apart between SDT and TET" in text
    assert "with TET than" not in text


@pytest.mark.parametrize("name", COMPARED)
def test_one_network_a_side_decides_nothing(name):
    make, _, words = COMPARED[name]
    text = read(name, make((SDT[:1], CLEAR[:1])))
    assert f"{words} has no interval" in text
    assert "one seed a side" in text
    assert "with TET than" not in text


REFERENCED = {
    # picture: its tables, of values; the reference; two sets of values, the first on one side of it
    "stability": (stability, "below 1", "from 1", BELOW, AROUND),
    "scalability-ways": (ways, "above 0", "from 0", BELOW, tuple(value - 1 for value in AROUND)),
}


@pytest.mark.parametrize("name", REFERENCED)
def test_a_mean_is_told_from_its_reference_by_scipys_interval(name):
    make, beside, reference, sdt, tet = REFERENCED[name]
    text = read(name, make((sdt, tet)))
    for label, side, words in (("SDT", sdt, beside), ("TET", tet, f"can't be told {reference}")):
        low, high = stats.t.interval(0.95, 3, np.mean(side), stats.sem(side))
        assert f"{told(np.mean(side))} with {label} ({told(low)} … {told(high)}, n = 4: {words})" in text
    alone = read(name, make((sdt[:1], tet[:1])))
    assert alone.count("one seed, no interval") >= 2
    assert not any(word in alone for word in ("below", "above", "can't be told"))


def test_a_trajectory_is_read_from_the_first_epoch_that_all_runs_have():
    frames = trajectory((SDT, CLEAR))
    path = frames["surface_path"]
    short = path[~((path["seed"] == 1) & (path["epoch"] == 0))]
    text = read("trajectory", frames | {"surface_path": short})
    assert "after epoch 1 to" in text
    assert f"TET {told(2 * np.mean(CLEAR))}" in text
    with pytest.raises(tables.TableError, match="no epoch of which all runs"):
        read("trajectory", frames | {"surface_path": path[path["epoch"] == path["seed"] % 3]})


def test_of_the_planes_axes_both_shares_are_added():
    text = read("trajectory", trajectory((SDT, CLEAR)))
    assert f"TET {np.mean(CLEAR) * 10:.4g}" in text
    without = trajectory((SDT, CLEAR))
    del without["surface_axes"]["explained"]
    assert "explain" not in read("trajectory", without)


def test_layers_are_counted_by_verdict():
    text = read("layers", layers((SDT, CLEAR)))
    assert text == (
        "Of 2 layers' top eigenvalues (formal Hessian, SDT loss), 0 are lower with TET, 1 is lower with SDT and 1 "
        "can't be told apart (chance alone would decide 0.1 of 2); the one decided is in doubt: changes when weights "
        "are rescaled; of 2 layers' shares of the trace (Gauss–Newton, SDT loss), 1 is lower with TET and 1 is lower "
        "with SDT (chance alone would decide 0.1 of 2); all 2 decided are in doubt: changes when weights are rescaled."
    )
    undecided = read("layers", layers((SDT, CROSSED)))
    assert undecided.count("0 are lower with TET, 0 are lower with SDT and 2 can't be told apart") == 2
    assert "doubt" not in undecided
    alone = read("layers", layers((SDT[:1], CLEAR[:1])))
    assert alone.count("none can be decided: 2 have too few seeds") == 2


def test_an_eigenvalue_that_did_not_converge_is_a_doubt():
    frames = layers((SDT, CLEAR))
    text = read("layers", {"layers": frames["layers"].assign(converged=False)})
    assert "is in doubt: changes when weights are rescaled, not converged; of 2 layers' shares" in text
    assert not text.endswith("not converged.")


def test_layers_of_the_gradient_are_counted_and_the_loss_beside_one():
    text = read("momentum-layers", momentum_layers((SDT, CLEAR)))
    part = "1 is lower with TET and 1 is lower with SDT"  # 9 / (9 + value), and the rest
    assert (
        f"Of 2 layers' parts of the gradient, {part} (chance alone would decide 0.1 of 2); all 2 decided are in doubt"
        in text
    )
    assert "of 2 layers' coherences, 0 are lower with TET, 0 are lower with SDT and 2 can't be told apart" in text
    assert text.endswith("predicted decrease lies below 1 in 1 of 2 layers with SDT and 1 of 2 layers with TET.")
    undecided = read("momentum-layers", momentum_layers((SDT, CROSSED)))
    assert "gradient, 0 are lower with TET, 0 are lower with SDT and 2 can't be told apart" in undecided
    alone = read("momentum-layers", momentum_layers((SDT[:1], CLEAR[:1])))
    assert alone.count("none can be decided: 2 have too few seeds") == 2
    assert alone.endswith("realised over predicted decrease has too few seeds for an interval.")


def of_each_loss(by_loss, rows):
    """As :func:`table`, of each network under each loss: the sides' values by (method, loss)."""
    frames = []
    for loss in ("sdt", "tet"):
        frame = table([by_loss[method, loss] for method in ("sdt", "tet")], rows)
        frames.append(frame.assign(loss=loss))
    return pd.concat(frames, ignore_index=True)


GRADIENTS = {
    "momentum": lambda value: [{"timestep": 0, "gradient_norm": value, "coherence": value / 10, "coherence_null": 0.2}],
    "momentum-pairs": lambda value: [{"timestep": 1, "other": other, "cosine": value / 10} for other in (1, 2)],
    "momentum-steps": lambda value: [{"step": 3, "timestep": 0, "kept": value / 10, "kept_null": 0.2}],
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_one_loss_says_of_both_stands_beside_what_each_says_of_its_own(name):
    low, more = np.array(SDT), np.array([2.0, 2.1, 1.9, 2.05])
    high = low + more
    turned = {("sdt", "sdt"): high, ("tet", "sdt"): 2 * high, ("sdt", "tet"): low / 2, ("tet", "tet"): low}
    text = read(name, {name.replace("-", "_"): of_each_loss(turned, GRADIENTS[name])})
    assert "lower with TET than with SDT" in text  # each under its own
    for loss in ("SDT", "TET"):
        assert f"under the {loss} loss for both, it is higher with TET than with SDT" in text
    size = 1 if name == "momentum" else 10
    of_sdt = text.partition("under the SDT loss for both")[2].partition("under the TET loss for both")[0]
    assert f"(TET {2 * high.mean() / size:.4g}, SDT " in of_sdt
    same = {("sdt", "sdt"): low, ("tet", "sdt"): high, ("sdt", "tet"): low, ("tet", "tet"): high}
    text = read(name, {name.replace("-", "_"): of_each_loss(same, GRADIENTS[name])})
    assert "so it is under each loss for both" in text
    assert "loss for both, it" not in text
    own = of_each_loss(same, GRADIENTS[name])
    own = own[own["loss"] == own["training"]]
    assert "for both" not in read(name, {name.replace("-", "_"): own})


def test_nulls_say_of_which_images():
    def rows(value):
        head = {"timestep": 0, "gradient_norm": value, "coherence": value / 10, "coherence_null": 0.259}
        return [head | {"coherence_null_sampled": 0.337}]

    frame = table((SDT, CLEAR), rows)
    text = read("momentum", {"momentum": frame})
    assert "if the gradient of these examples were zero, the coherence would be 0.259; if they were a sample of" in text
    assert text.endswith("mean gradient is zero, 0.337.")
    assert "would be" not in read("momentum", {"momentum": frame.drop(columns="coherence_null_sampled")})


@pytest.mark.parametrize(
    ("name", "x", "more", "said"),
    [
        ("momentum-steps", "step", {"batch_size": 50}, "noise would keep 0.259."),
        ("momentum-steps", "step", {}, "noise would keep at most 0.259."),
        ("momentum-history", "epoch", {"kept_null_low": 0.134}, "between 0.134 and 0.259: an epoch's batches share no"),
        ("momentum-history", "epoch", {}, "noise would keep at most 0.259."),
    ],
)
def test_what_noise_would_keep_is_a_number_only_of_independent_batches(name, x, more, said):
    frame = table((SDT, CLEAR), lambda value: [{x: 3, "timestep": 0, "kept": value / 10, "kept_null": 0.259} | more])
    assert said in read(name, {name.replace("-", "_"): frame})


def test_the_mean_cosine_stands_beside_zero_and_the_diagonal_is_left_out():
    text = read("momentum-pairs", pairs((SDT, CROSSED)))
    low, high = stats.t.interval(0.95, 3, np.mean(SDT) / 10, stats.sem(SDT) / 10)
    assert f"the mean over pairs is {told(np.mean(SDT) / 10)} with SDT ({told(low)} … {told(high)}, n = 4: " in text
    assert "steps 1 and" not in text  # two timesteps have one pair
    alone = table((SDT, CLEAR), lambda value: [{"timestep": 1, "other": 1, "cosine": 1.0}])
    with pytest.raises(tables.TableError, match="no two different timesteps"):
        read("momentum-pairs", {"momentum_pairs": alone})


def energies(sides, *, twin, share):
    def rows(value):
        place = {"split": "test", "layer": "total", "timesteps": 2.0, "trained_timesteps": 2.0, "images": 500.0}
        nano = 1e-9 * value
        return [place | {"joules": nano, "joules_by_rate": share * nano, "twin_joules": 1e-9 * twin, "accuracy": 0.9}]

    return {"energy": table(sides, rows)}


@pytest.mark.parametrize(
    ("twin", "share", "between"),
    [(150.0, 0.5, True), (150.0, 0.9, False), (205.0, 0.5, False), (50.0, 0.5, False), (500.0, 0.5, False)],
)
def test_energy_says_when_the_convention_of_pooling_decides_against_the_twin(twin, share, between):
    sides = ((200.0, 210.0, 220.0), (230.0, 240.0, 250.0))
    said = read("energy", energies(sides, twin=twin, share=share))
    expected = (
        f"{share * 210:.3g} nJ with SDT and {share * 240:.3g} nJ with TET; without spikes it would take {twin:.3g} nJ"
    )
    assert f"firing rates times the synapses of pooled maps, as papers reckon, would make it {expected}" in said
    assert ("which takes less depends on how pooling is counted" in said) is between


@pytest.mark.parametrize(("window", "share", "told"), [(4, 0.5, True), (1, 0.97, False), (None, 1.0, False)])
def test_the_convention_of_pooling_is_told_where_something_is_pooled(window, share, told):
    """At the borders of unpooled maps both ways of counting differ too; an older table doesn't say what is pooled."""
    found = energies((SDT, CLEAR), twin=500.0, share=share)["energy"]
    found = found if window is None else found.assign(window=window)
    assert ("pooled" in read("energy", {"energy": found})) is told


def test_energy_of_an_older_table_says_nothing_of_conventions():
    found = energies((SDT, CLEAR), twin=1.0, share=0.5)["energy"].drop(columns="joules_by_rate")
    assert "Firing" not in read("energy", {"energy": found})


def test_of_networks_that_are_their_own_twins_no_firing_rate_is_told():
    found = energies((SDT, CLEAR), twin=1.0, share=1.0)["energy"]
    found["twin_joules"] = found["joules"] * (1 + 1e-15)
    assert "firing" not in read("energy", {"energy": found})


def settings(spiking: bool, steps: float = 1.0) -> pd.DataFrame:
    return table((SDT, CLEAR), lambda _: [{"spiking": spiking, "timesteps": steps}])


@pytest.mark.parametrize(("spiking", "said"), [(True, "formal Hessian"), (False, "Hessian")])
def test_only_of_networks_that_spike_the_hessian_is_a_formal_one(spiking, said):
    frames = {**layers((SDT, CLEAR)), "settings": settings(spiking)}
    with kinds.pictured(frames):
        text = read("layers", frames)
    assert f"({said}, SDT loss)" in text
    assert ("formal" in text) is spiking


@pytest.mark.parametrize(("spiking", "steps"), [(True, 4.0), (False, 1.0)])
def test_the_methods_of_the_page_are_those_of_its_networks(spiking, steps):
    html = Path(report_command.__file__).with_name("methods.html").read_text(encoding="utf-8")
    text = neuron.suited(html, {"settings": settings(spiking, steps)})
    assert "<!--" not in text
    assert text.count("<dd>") == text.count("</dd>") == text.count("<dt>")
    for words in ("spike", "pulses", "analog first layer", "Stopping", "step <var>t</var>", "formal"):
        assert (words.casefold() in text.casefold()) is spiking, words
