import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analysis.timesteps.agreement import agreement

CLASSES = arrays.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 2))


def test_by_hand():
    # Three images over four steps: settled from the start, at the third step (having come and gone), at the last.
    cumulative = torch.tensor([[1, 2, 0], [1, 0, 0], [1, 2, 0], [1, 2, 1]])
    at_step = torch.tensor([[1, 0, 0], [0, 2, 0], [1, 2, 0], [1, 0, 0]])
    found = agreement(cumulative, at_step)
    assert found["agreement_cumulative"].tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert found["agreement_at_step"].tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert found["settling"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]


@given(CLASSES)
def test_settling_is_the_first_step_from_which_a_loop_finds_no_change(classes):
    settling = agreement(torch.from_numpy(classes), torch.from_numpy(classes))["settling"].numpy()
    for image in range(classes.shape[1]):
        step = len(classes)
        while step > 1 and classes[step - 2, image] == classes[-1, image]:
            step -= 1
        assert settling[:, image].tolist() == [float(t == step) for t in range(1, len(classes) + 1)]


@given(CLASSES)
def test_no_more_is_settled_than_agrees_and_in_the_end_all_is(classes):
    found = agreement(torch.from_numpy(classes), torch.from_numpy(classes))
    settled = found["settling"].cumsum(0)
    assert (settled <= found["agreement_cumulative"]).all()
    assert (settled[-1] == 1).all()
