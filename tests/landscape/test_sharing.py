"""Several losses from one pass at each place: the same values to the bit, and how many passes there are."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.objective import Objective, Outputs, Sharing
from landscape.sharpness import average_rise, smoothed_curvature

LOSSES = (
    lambda output, target: functional.cross_entropy(output, target, reduction="none"),
    lambda output, target: (output - functional.one_hot(target, 3)).square().sum(1),
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.fixture
def passes(model):
    """The batches' sizes, pass by pass."""
    found: list[int] = []
    model.register_forward_pre_hook(lambda _module, given: found.append(len(given[0])))
    return found


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 5, generator=generator), torch.randint(3, (size,), generator=generator)) for size in sizes
    ]


def test_the_second_loss_passes_nothing_again_and_both_are_as_alone(model, passes):
    data, outputs = batches(7, 4), Outputs()
    plain = [Objective(model, loss, data, check=False) for loss in LOSSES]
    shared = [Sharing(model, loss, data, check=False, outputs=outputs) for loss in LOSSES]

    def measured(objective):
        rise = average_rise(objective, radii=(0.1, 0.3), draws=2)
        return [rise.rises, smoothed_curvature(objective, radii=(0.2,), draws=2).to_frame().to_numpy(float)]

    expected = [measured(one) for one in plain]
    alone = len(passes) // 2
    passes.clear()
    for objective, values in zip(shared, expected, strict=True):
        for one, other in zip(measured(objective), values, strict=True):
            assert (one == other).all()
    assert len(passes) == alone - 2 * 2  # the centre is there twice beside the first time


def test_other_weights_are_another_place(model, passes):
    data, outputs = batches(3), Outputs()
    first, second = (Sharing(model, loss, data, check=False, outputs=outputs) for loss in LOSSES)
    first.examples()
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-6
    moved = Objective(model, LOSSES[1], data, check=False).examples()
    passes.clear()
    assert torch.equal(second.examples(), moved)
    assert passes == [3]


def test_what_a_loss_writes_to_stays_its_own(model):
    data, outputs = batches(3), Outputs()

    def writing(output, target):
        return LOSSES[0](output.mul_(2), target)

    first, second = (Sharing(model, loss, data, check=False, outputs=outputs) for loss in (writing, LOSSES[0]))
    found = [first.examples(), first.examples()]
    assert torch.equal(*found)
    assert torch.equal(second.examples(), Objective(model, LOSSES[0], data, check=False).examples())


def test_beyond_the_budget_every_loss_has_passes_of_its_own(model, passes):
    outputs = Outputs(4 * 3 * 6)  # the first batch's
    objectives = [Sharing(model, loss, batches(6, 2), check=False, outputs=outputs) for loss in LOSSES]
    for objective in objectives:
        objective.examples()
    assert passes == [6, 2, 2]


def test_a_loss_that_is_a_mean_has_no_examples(model):
    mean = Sharing(model, nn.CrossEntropyLoss(), batches(3), check=False, outputs=Outputs())
    with pytest.raises(ValueError, match="reduction='none'"):
        mean.examples()
