from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import one_hot, softmax

from analysis import momentum
from analysis.momentum import Config, draw_batches, run
from analysis.momentum.descent import clustered_stderr, descent
from analysis.momentum.streams import Stream
from analysis.subject import Subject, per_image
from landscape.objective import Objective, Parameters
from models.checkpoint import load, save
from models.training.nulls import coherence_null
from models.training.step_gradients import step_gradients

STATISTICS = (
    *("error_norm", "gradient_norm", "gain", "cosine_to_total", "share"),
    *("noise", "coherence", "coherence_null", "coherence_null_sampled", "batches", "batch_size", "images", "beta"),
)


def objective_of(subject: Subject, loss: str, batches, mode: str = "train") -> Objective:
    return Objective(subject.network, per_image(loss), batches, mode=mode)


def tables_of(path, **settings) -> dict[str, pd.DataFrame]:
    return dict(run(Config((path,), quiet=True, **({"images": None} | settings))).tables)


def collected(objective: Objective) -> tuple[dict[int, torch.Tensor], dict[int, torch.Tensor]]:
    """Error signals [batch class] and gradients [dimension] of the objective's only batch, by timestep."""
    with objective.evaluating():
        (batch,) = objective.batches()
        logits = objective.model(batch[1])
        found = list(step_gradients(logits, batch[2], objective.loss, objective.parameters.tensors))
    return {t: error for t, error, _ in found}, {t: gradient for t, _, gradient in found}


@pytest.fixture(scope="module")
def subject(digits_checkpoint) -> Subject:
    return Subject.load(digits_checkpoint("tet"), dtype="float64")


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("loss", ["sdt", "tet"])
def test_step_gradients_sum_to_the_gradient_of_the_loss(subject, loss, mode):
    objective = objective_of(subject, loss, [subject.batch("train", 40)], mode)
    _, gradients = collected(objective)
    truth = objective.gradient()
    assert list(gradients) == [1, 2, 3, 4, 0]
    assert torch.allclose(torch.stack([gradients[t] for t in (1, 2, 3, 4)]).sum(0), truth, rtol=1e-10, atol=1e-14)
    assert torch.allclose(gradients[0], truth, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", ["sdt", "tet"])
def test_each_step_gradient_is_that_of_its_own_term(subject, loss):
    images, labels = subject.batch("train", 20)
    errors, gradients = collected(objective_of(subject, loss, [(images, labels)], "eval"))
    for t in range(1, 5):
        # The first t steps alone, on a graph of their own; the error signal is held fixed.
        term = (errors[t] / 4 * subject.network(images, timesteps=t)[t - 1]).sum() / 20
        parameters = Parameters(subject.network)
        assert torch.allclose(
            parameters.flatten(torch.autograd.grad(term, parameters.tensors)), gradients[t], rtol=1e-9, atol=1e-13
        )


@pytest.mark.parametrize("loss", ["sdt", "tet"])
def test_error_signals_are_those_of_equations_8_and_10(subject, loss):
    images, labels = subject.batch("train", 30)
    errors, _ = collected(objective_of(subject, loss, [(images, labels)], "eval"))
    with torch.no_grad():
        logits = subject.network(images)
    truth = [softmax(logits.mean(0) if loss == "sdt" else step, 1) - one_hot(labels, 10) for step in logits]
    for t in range(1, 5):
        assert torch.allclose(errors[t], truth[t - 1], atol=1e-12)
    assert torch.allclose(errors[0], torch.stack(truth).mean(0), atol=1e-12)


def test_error_signal_is_the_same_at_every_step_for_sdt_and_not_for_tet(digits_checkpoint):
    table = tables_of(digits_checkpoint("tet"), batches=4, relative_steps=())["momentum"]
    spread = table[table["timestep"] > 0].groupby("loss")["error_norm"].agg(np.ptp)
    assert spread["sdt"] < 1e-6
    assert spread["tet"] > 1e-3


@given(
    st.integers(1, 8),
    st.integers(1, 6),
    st.floats(0, 0.99),
    st.integers(0, 2**31 - 1),
)
def test_streamed_statistics_equal_those_of_the_whole_array(count, dimension, beta, seed):
    vectors = np.random.default_rng(seed).normal(1, 1, (count, dimension))
    stream = Stream(torch.from_numpy(vectors[0]), beta)
    for vector in vectors[1:]:
        stream.add(torch.from_numpy(vector))
    weights = beta ** np.arange(count - 1, -1, -1.0)
    average = weights @ vectors / weights.sum()
    mean = vectors.mean(0)
    assert np.allclose(stream.mean, mean)
    assert np.allclose(stream.momentum, average)
    assert stream.noise == pytest.approx(np.sqrt(((vectors - mean) ** 2).sum(1).mean()), abs=1e-12)
    assert stream.coherence == pytest.approx(np.linalg.norm(average) / np.linalg.norm(vectors, axis=1).mean())


def streamed(vectors: torch.Tensor, beta: float) -> Stream:
    stream = Stream(vectors[0], beta)
    for vector in vectors[1:]:
        stream.add(vector)
    return stream


@pytest.mark.parametrize(("beta", "count"), [(0.9, 20), (0.9, 200), (0.5, 10), (0.0, 5)])
def test_independent_noise_has_the_null_coherence(beta, count):
    noise = torch.randn(count, 20_000, generator=torch.Generator().manual_seed(0))
    assert streamed(noise, beta).coherence == pytest.approx(coherence_null(beta, count), rel=0.03)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99])
def test_null_of_many_batches_is_the_textbook_value(beta):
    assert coherence_null(beta, 10_000) == pytest.approx(np.sqrt((1 - beta) / (1 + beta)), rel=1e-6)
    assert coherence_null(beta, 1) == pytest.approx(1)


def test_a_constant_gradient_has_coherence_one_and_no_noise():
    stream = streamed(torch.ones(20, 7, dtype=torch.float64), 0.9)
    assert stream.coherence == pytest.approx(1)
    assert stream.noise == 0


def test_small_noise_about_a_large_mean_keeps_its_digits():
    vectors = 1000 + 1e-2 * torch.randn(50, 500, generator=torch.Generator().manual_seed(0))
    truth = (vectors.double() - vectors.double().mean(0)).square().sum(1).mean().sqrt()
    assert streamed(vectors, 0.9).noise == pytest.approx(float(truth), rel=1e-2)


def test_tables_equal_the_definitions_on_stored_gradients(digits_checkpoint):
    path = digits_checkpoint("tet")
    found = tables_of(path, loss="tet", batches=3, dtype="float64", beta=0.5, seed=7, relative_steps=(1e-3,))
    table = found["momentum"].set_index("timestep")
    subject = Subject.load(path, dtype="float64")
    batches, _ = draw_batches(subject.batch("train", None), count=3, size=50, seed=7)
    runs = [collected(objective_of(subject, "tet", [batch])) for batch in batches]
    gradients = {t: torch.stack([each[1][t] for each in runs]).numpy() for t in range(5)}
    errors = {t: torch.cat([each[0][t] for each in runs]).numpy() for t in range(5)}
    whole = gradients[0].mean(0)
    assert np.allclose(whole, np.stack([gradients[t] for t in range(1, 5)]).sum(0).mean(0))
    for t in range(5):
        mean = gradients[t].mean(0)
        error = np.sqrt((errors[t] ** 2).sum(1).mean())
        average = np.array([1, 2, 4]) / 7 @ gradients[t]
        truth = {
            "error_norm": error,
            "gradient_norm": np.linalg.norm(mean),
            "noise": np.sqrt(((gradients[t] - mean) ** 2).sum(1).mean()),
            "gain": np.linalg.norm(mean) / error,
            "cosine_to_total": mean @ whole / np.linalg.norm(mean) / np.linalg.norm(whole),
            "share": mean @ whole / (whole @ whole),
            "coherence": np.linalg.norm(average) / np.linalg.norm(gradients[t], axis=1).mean(),
            "coherence_null": np.sqrt(1 + 4 + 16) / 7,
            "coherence_null_sampled": np.sqrt(21 / 49 + (1 - 21 / 49) * 50 / 200),
            "batches": 3,
            "batch_size": 50,
            "images": 200,
            "beta": 0.5,
        }
        assert table.loc[t, list(truth)].to_dict() == pytest.approx(truth, rel=1e-8)
    pairs = found["momentum_pairs"].pivot_table(index="timestep", columns="other", values="cosine")
    steps = np.array([gradients[t].mean(0) for t in range(1, 5)])
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert np.allclose(pairs, steps @ steps.T, atol=1e-10)
    descents = found["descent"].set_index("direction")
    directions = {"gradient": whole, "momentum": np.array([1, 2, 4]) / 7 @ gradients[0]}
    directions |= {f"step-{t}": gradients[t].mean(0) for t in range(1, 5)}
    length = 1e-3 * float(Parameters(subject.network).vector().norm())
    for name, u in directions.items():
        step = length / np.linalg.norm(u)
        found_step, predicted = descents.loc[name, ["step", "predicted"]]
        assert (found_step, predicted) == pytest.approx((step, step * (whole @ u)), rel=1e-8)


def test_shares_sum_to_one_and_the_whole_row_is_its_own_total(digits_checkpoint):
    table = tables_of(digits_checkpoint("sdt"), batches=6, relative_steps=())["momentum"]
    shares = table[table["timestep"] > 0].groupby("loss")["share"].sum()
    assert shares.to_dict() == pytest.approx({"sdt": 1, "tet": 1}, abs=1e-5)
    whole = table[table["timestep"] == 0]
    assert np.allclose(whole[["cosine_to_total", "share"]], 1)
    assert (table["batches"] == 6).all()
    assert (table["beta"] == 0.9).all()


def test_both_losses_see_the_same_batches(digits_checkpoint):
    path = digits_checkpoint("tet")
    both = tables_of(path, batches=3, relative_steps=(1e-3,))
    alone = [tables_of(path, batches=3, relative_steps=(1e-3,), loss=loss) for loss in ("sdt", "tet")]
    for name, table in both.items():
        pd.testing.assert_frame_equal(table, pd.concat([each[name] for each in alone], ignore_index=True))


def test_a_batch_has_no_image_twice_and_knows_of_no_other():
    images, labels = torch.arange(11.0).view(11, 1, 1, 1), torch.arange(11)
    batches, index = draw_batches((images, labels), count=5, size=4, seed=3)
    assert [len(y) for _, y in batches] == [4] * 5
    assert all(len(set(one.tolist())) == 4 for one in index.split(4))
    assert torch.equal(torch.cat([x.flatten() for x, _ in batches]), index.to(torch.float32))
    assert torch.equal(torch.cat([y for _, y in batches]), index)
    assert not torch.equal(index, draw_batches((images, labels), count=5, size=4, seed=4)[1])
    events = images.unsqueeze(0).expand(3, -1, -1, -1, -1)
    frames, _ = draw_batches((events, labels), count=5, size=4, seed=3, axis=1)
    assert frames[1][0].shape == (3, 4, 1, 1, 1)
    assert torch.equal(frames[1][0][2], batches[1][0])


def test_network_comes_back_as_it_was(digits_checkpoint):
    subject = Subject.load(digits_checkpoint("tet"))
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    momentum.measure(subject, Config((subject.path,), batches=2, images=None, quiet=True))
    assert not subject.network.training
    assert all(torch.equal(before[name], value) for name, value in subject.network.state_dict().items())
    assert all(weight.grad is None for weight in subject.network.parameters())


class Quadratic(nn.Module):
    """L(w) = mean_i ½ (w − x_i)ᵀ A (w − x_i): the decrease along any direction is known in closed form."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
        self.curvature = torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64))

    def forward(self, x):
        return 0.5 * ((self.w - x) @ self.curvature * (self.w - x)).sum(1)


def test_descent_of_a_quadratic_is_its_closed_form():
    model, x = Quadratic(), torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    objective = Objective(model, lambda output, _target: output, [(x, torch.zeros(30))])
    gradient, u = objective.gradient(), torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    table = descent(objective, gradient, {"u": u}, relative_steps=[1e-2, 1.0], images=torch.arange(30))
    steps = torch.tensor([1e-2, 1.0]) * model.w.detach().norm() / u.norm()
    truth = 1 - steps * (u @ model.curvature @ u) / 2 / (gradient @ u)
    assert np.allclose(table["step"], steps)
    assert np.allclose(table["predicted"], steps * (gradient @ u))
    assert np.allclose(table["ratio"], truth)
    # Images differ in the slope along u alone: uᵀA x_i.
    spread = float((x @ model.curvature @ u).std()) / 30**0.5
    assert np.allclose(table["stderr"], spread / abs(float(gradient @ u)))


@pytest.mark.slow(keep=1)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_ratio_of_a_smooth_network_tends_to_one_with_the_step(digits_checkpoint, mode):
    path = digits_checkpoint("tet", surrogate="smooth", width=0.4, epochs=2)
    settings = {"batches": 3, "mode": mode, "dtype": "float64", "relative_steps": (1e-4, 1e-5, 1e-6)}
    table = tables_of(path, **settings)["descent"]
    assert set(table["direction"]) == {"gradient", "momentum", "step-1", "step-2", "step-3", "step-4"}
    error = (table["ratio"] - 1).abs().groupby(table["relative_step"]).max()
    assert error[1e-6] < 1e-3
    # First order: a tenth of the step, a tenth of the error.
    assert error[1e-5] == pytest.approx(error[1e-4] / 10, rel=0.2)
    assert error[1e-6] == pytest.approx(error[1e-5] / 10, rel=0.2)


@pytest.mark.parametrize("loss", ["sdt", "tet"])
def test_ratio_of_a_spiking_network_tends_to_the_heads_part(digits_checkpoint, loss):
    path = digits_checkpoint("sdt")
    table = tables_of(path, batches=2, loss=loss, dtype="float64", relative_steps=(1e-10,))["descent"]
    subject = Subject.load(path, dtype="float64")
    batches, _ = draw_batches(subject.batch("train", None), count=2, size=50, seed=0)
    objective = objective_of(subject, loss, batches)
    gradient, parameters = objective.gradient(), objective.parameters
    head = parameters.flatten(
        [
            torch.full_like(w, float("head" in name))
            for name, w in zip(parameters.names, parameters.tensors, strict=True)
        ]
    )
    part = float((gradient * head) @ gradient / (gradient @ gradient))
    assert 0.01 < part < 0.9
    assert list(table["ratio"][table["direction"] == "gradient"]) == pytest.approx([part], rel=1e-4)


def test_standard_error_counts_a_repeated_image_once():
    values = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = float(values.std()) / 12**0.5
    assert float(clustered_stderr(values, torch.arange(12))) == pytest.approx(truth)
    repeated = clustered_stderr(values.repeat(5), torch.arange(12).repeat(5) + 100)
    assert float(repeated) == pytest.approx(truth)


def test_a_network_without_spikes_has_one_step(digits_checkpoint):
    tables = tables_of(digits_checkpoint("tet", spiking=False), batches=2, relative_steps=())
    table = tables["momentum"]
    assert list(table["timestep"]) == [0, 1, 0, 1]
    assert np.allclose(table["share"], 1)
    sdt, tet = (table[table["loss"] == loss].drop(columns="loss").reset_index(drop=True) for loss in ("sdt", "tet"))
    pd.testing.assert_frame_equal(sdt, tet)


def test_event_streams_are_batched_along_their_second_axis(digits_checkpoint):
    path = digits_checkpoint("tet", data="digit-events", timesteps=3, train_images=60, epochs=1)
    table = tables_of(path, batches=2, batch_size=20, relative_steps=(), loss="tet")["momentum"]
    assert list(table["timestep"]) == [0, 1, 2, 3]


def test_command_writes_three_tables(digits_checkpoint, tmp_path, capsys):
    path = digits_checkpoint("tet")
    assert momentum.main([str(path), "--images", "100", "--batches", "2", "--out", str(tmp_path)]) == 0
    columns = {path.stem: list(pd.read_csv(path).columns)[6:] for path in tmp_path.glob("*.csv")}
    assert columns == {
        "momentum": ["loss", "timestep", *STATISTICS],
        "momentum_pairs": ["loss", "timestep", "other", "cosine"],
        "descent": ["loss", "direction", "step", "relative_step", "predicted", "realised", "ratio", "stderr"],
    }
    assert "coherence_null" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--batch-size", "200"], "can't draw 20 batches of 200 from 100 images"),
        (["--batches", "0"], "can't draw 0 batches"),
        (["--beta", "1.0"], r"beta must lie in [0, 1), got 1.0"),
        (["--relative-steps", "0.0"], "relative steps must be positive, got 0.0"),
    ],
)
def test_unusable_settings_are_one_line_and_exit_1(digits_checkpoint, tmp_path, capsys, arguments, complaint):
    shared = [str(digits_checkpoint("tet")), "--images", "100", "--quiet", "--out", str(tmp_path)]
    assert momentum.main([*shared, *arguments]) == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))


@pytest.fixture(scope="module")
def by_layer(digits_checkpoint) -> dict[str, pd.DataFrame]:
    """The tables of two batches in float64, with layers."""
    return tables_of(digits_checkpoint("tet"), batches=2, dtype="float64", layers=True, relative_steps=(1e-10,))


def test_layers_are_the_parts_of_the_whole(by_layer, subject):
    layers, whole = by_layer["momentum_layers"], by_layer["momentum"].set_index(["loss", "timestep"])
    names = [name for name, module in subject.network.named_modules() if module._parameters]
    assert list(dict.fromkeys(layers["layer"])) == names
    for column in ("gradient_norm", "noise"):
        squares = (layers[column] ** 2).groupby([layers["loss"], layers["timestep"]]).sum()
        assert np.allclose(squares.loc[whole.index], whole[column] ** 2)
    shares = layers[layers["timestep"] > 0].groupby(["loss", "layer"])["share"].sum()
    assert np.allclose(shares, 1)
    assert np.allclose(layers.loc[layers["timestep"] == 0, ["share", "cosine_to_total"]], 1)


def test_a_layer_s_numbers_are_those_of_its_own_weights(by_layer, subject):
    batches, _ = draw_batches(subject.batch("train", None), count=2, size=50, seed=0)
    objective = objective_of(subject, "tet", batches)
    own = Parameters(subject.network, ["body.conv2.weight"])
    gradients = [
        Objective(subject.network, objective.loss, [batch], parameters=own, mode="train").gradient().numpy()
        for batch in batches
    ]
    mean, average = np.mean(gradients, 0), (0.9 * gradients[0] + gradients[1]) / 1.9
    row = by_layer["momentum_layers"].query("loss == 'tet' and layer == 'body.conv2' and timestep == 0").iloc[0]
    assert row["gradient_norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-8)
    assert row["coherence"] == pytest.approx(
        np.linalg.norm(average) / np.mean([np.linalg.norm(one) for one in gradients]), rel=1e-8
    )
    pairs = by_layer["momentum_pairs_layers"].query("loss == 'tet' and layer == 'body.conv2'")
    assert len(pairs) == 4**2
    assert np.allclose(pairs.loc[pairs["timestep"] == pairs["other"], "cosine"], 1)


def test_the_head_follows_its_gradient_and_the_layers_below_do_not(by_layer):
    table = by_layer["descent_layers"]
    assert set(table["direction"]) == {"gradient", "momentum"}
    ratio = table[table["direction"] == "gradient"].groupby("layer")["ratio"].max()
    assert ratio["body.head"] == pytest.approx(1, rel=1e-3)
    assert np.allclose(ratio.drop("body.head"), 0)


def test_the_ratio_of_every_layer_of_a_smooth_network_is_one(digits_checkpoint):
    path = digits_checkpoint("tet", surrogate="smooth", width=0.4, epochs=2)
    settings = {"batches": 2, "loss": "tet", "dtype": "float64", "layers": True, "relative_steps": (1e-6,)}
    assert tables_of(path, **settings)["descent_layers"]["ratio"].to_numpy() == pytest.approx(1, abs=1e-3)


def test_a_step_in_a_layer_is_relative_to_its_own_weights(by_layer, subject):
    row = by_layer["descent_layers"].query("loss == 'tet' and layer == 'body.head' and direction == 'gradient'").iloc[0]
    norm = by_layer["momentum_layers"].query("loss == 'tet' and layer == 'body.head' and timestep == 0").iloc[0]
    weights = torch.cat([weight.detach().flatten() for weight in subject.network.body.head.parameters()])
    assert row["step"] * norm["gradient_norm"] == pytest.approx(1e-10 * float(weights.norm()), rel=1e-8)


def test_chunks_change_no_number(digits_checkpoint):
    path = digits_checkpoint("tet")
    one, two = (tables_of(path, batches=2, chunk=chunk, dtype="float64", relative_steps=()) for chunk in (1, 150))
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, two[name], rtol=1e-9)


@pytest.mark.parametrize(("lacking", "flag"), [("batch_size", "--batch-size"), ("momentum", "--beta")])
def test_what_a_checkpoint_does_not_say_is_asked_for(lacking, flag, digits_checkpoint, tmp_path, capsys):
    checkpoint = load(digits_checkpoint("tet"))
    training = {name: value for name, value in checkpoint.training.items() if name != lacking}
    save(replace(checkpoint, training=training), tmp_path / "ckpt.pt")
    assert momentum.main([str(tmp_path / "ckpt.pt"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert f"give {flag}" in error
    assert error.count("\n") == 1
