"""What an output says by its shape: layouts, losses one value per example, and what counts as right, against loops."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from analysis import surface, timesteps
from analysis.subject import Spiking, Subject
from analysis.subject.outputs import IGNORED, Layout, Loss, layout, score, tensor, usual_losses
from analysis.subject.words import check_words

BATCH, CLASSES = 5, 3


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def right(found: Layout) -> Loss:
    function = score(found)
    assert function is not None
    return function


LABELS = torch.tensor([0, 2, 1, 1, 0])


def entropy(logits: torch.Tensor, label: int) -> float:
    """Cross-entropy of one distribution, by its definition."""
    powers = [math.exp(float(value)) for value in logits]
    return -math.log(powers[label] / sum(powers))


@pytest.mark.parametrize("axis", [0, 1])
def test_time_is_the_axis_that_is_not_the_examples(axis):
    output = normal(4, BATCH, CLASSES).movedim(0, axis)
    found = layout(output, LABELS)
    assert (found.time, found.steps, found.answers) == (axis, 4, "classes")
    assert torch.equal(found.time_first(output), normal(4, BATCH, CLASSES))
    losses = usual_losses(found, output)
    assert list(losses) == ["sdt", "tet"]
    steps = normal(4, BATCH, CLASSES)
    for example, label in enumerate(LABELS.tolist()):
        sdt = entropy(steps[:, example].mean(0), label)
        tet = sum(entropy(steps[t, example], label) for t in range(4)) / 4
        assert losses["sdt"](output, LABELS)[example].item() == pytest.approx(sdt)
        assert losses["tet"](output, LABELS)[example].item() == pytest.approx(tet)
    hits = [float(steps[:, i].mean(0).argmax()) == label for i, label in enumerate(LABELS.tolist())]
    assert right(found)(output, LABELS).tolist() == hits


def test_classes_without_time():
    output = normal(BATCH, CLASSES)
    found = layout(output, LABELS)
    assert found.answers == "classes"
    assert found.time is None
    values = usual_losses(found, output)["ce"](output, LABELS)
    assert values.tolist() == pytest.approx([entropy(*pair) for pair in zip(output, LABELS.tolist(), strict=True)])
    assert right(found)(output, LABELS).tolist() == (output.argmax(1) == LABELS).tolist()


@pytest.mark.parametrize("answers", ["places", "pixels"])
def test_places_that_do_not_count_are_in_no_mean(answers):
    logits, target = normal(BATCH, 4, CLASSES), torch.randint(CLASSES, (BATCH, 4))
    target[0, 1:] = IGNORED
    target[1] = IGNORED
    output = logits if answers == "places" else logits.movedim(2, 1)
    found = layout(output, target)
    assert found.answers == answers
    losses, hits = usual_losses(found, output)["ce"](output, target), right(found)(output, target)
    for example in range(BATCH):
        counted = [place for place in range(4) if target[example, place] != IGNORED]
        each = [entropy(logits[example, place], int(target[example, place])) for place in counted]
        found_right = [int(logits[example, place].argmax()) == int(target[example, place]) for place in counted]
        assert losses[example].item() == pytest.approx(sum(each) / max(len(counted), 1))
        assert hits[example].item() == pytest.approx(sum(found_right) / max(len(counted), 1))


def test_labels_are_each_a_coin():
    output, target = normal(BATCH, 4), torch.randint(2, (BATCH, 4)).double()
    found = layout(output, target)
    assert found.answers == "labels"
    losses, hits = usual_losses(found, output)["bce"](output, target), right(found)(output, target)
    for example in range(BATCH):
        chances = [1 / (1 + math.exp(-float(value))) for value in output[example]]
        pairs = list(zip(chances, target[example].tolist(), strict=True))
        each = [-math.log(chance if label else 1 - chance) for chance, label in pairs]
        assert losses[example].item() == pytest.approx(sum(each) / 4)
        assert hits[example].item() == sum((chance > 0.5) == bool(label) for chance, label in pairs) / 4


def test_numbers_have_no_loss_and_no_accuracy_by_themselves():
    output, target = normal(BATCH, 1), normal(BATCH, 1)
    found = layout(output, target)
    assert found.answers == "values"
    assert usual_losses(found, output) == {}
    assert score(found) is None


def test_one_tensor_is_picked_where_there_is_no_doubt():
    logits = normal(2, 3)
    assert tensor({"loss": None, "logits": logits}) is logits
    assert tensor((logits,)) is logits
    with pytest.raises(ValueError, match=r"output=lambda output: output\[0\]"):
        tensor((logits, logits))


class Segments(nn.Module):
    """A class for every pixel."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, CLASSES, 3, padding=1)

    def forward(self, x):
        return self.conv(x)


def test_a_segmentation_network_has_surfaces_with_an_accuracy_of_pixels():
    torch.manual_seed(0)
    images, target = torch.randn(6, 1, 4, 4), torch.randint(CLASSES, (6, 4, 4))
    network = Segments()
    subject = Subject(network, test=[(images, target)])
    result = surface.run(surface.Config(split="test", points=3, plane_points=3, draws=1, quiet=True), [subject])
    centre = result.tables["surface"].query("alpha == 0 and beta == 0 and kind == 'line'").iloc[0]
    share = (network(images).argmax(1) == target).float().flatten(1).mean(1).mean()
    assert centre["accuracy"] == pytest.approx(share.item(), abs=1e-6)
    rows = timesteps.run(timesteps.Config(quiet=True), [subject]).tables["timesteps"]
    assert rows["accuracy_cumulative"].item() == pytest.approx(share.item(), abs=1e-6)


def test_as_many_steps_as_examples_are_told_apart_by_another_batch():
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(2, CLASSES)

        def forward(self, x, steps=8):
            return self.head(x).unsqueeze(0) * torch.arange(1.0, steps + 1).view(-1, 1, 1)

    images, labels = torch.randn(8, 2), torch.arange(8) % CLASSES
    assert Subject(Square(), train=[(images, labels)]).layout.time == 0


@pytest.mark.parametrize("axis", [2, -1])
def test_an_axis_that_there_is_not_is_refused(axis):
    with pytest.raises(ValueError, match=r"must be 0 \(time first\), 1 \(time second\) or None"):
        Spiking(time=axis)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"network": 3}, "must be a torch.nn.Module, got a int"),
        ({"train": None}, "give train=, test= or both"),
        ({"method": 3}, "method must be a word, got 3"),
        ({"seed": "0"}, "seed must be a whole number, got '0'"),
        ({"losses": {"both": abs}}, "losses must be functions"),
        ({"losses": {"mine": 1}}, "losses must be functions"),
        ({"factors": {"rate": [1]}}, "factor rate must be a number or a word"),
    ],
)
def test_a_subject_that_cannot_be_is_refused_when_it_is_made(given, said):
    whole = {"network": nn.Linear(2, 3), "train": [], "test": None, "title": "one", "name": "", "data": "", "seed": 0}
    whole |= {"unpack": None, "axis": 0}
    whole |= {"method": "m", "architecture": "", "losses": None, "factors": {}, "spiking": None}
    with pytest.raises(ValueError, match=said):
        check_words(SimpleNamespace(**whole | given))


def test_a_subject_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="give train=, test= or both"):
        Subject(nn.Linear(2, 3))
