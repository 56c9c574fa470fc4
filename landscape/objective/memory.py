"""What keeping gradient graphs would take, and what there is: whether ``keep_graph`` fits.

The graph of a gradient holds every tensor that its derivative needs. Those are counted by asking autograd for each
tensor that it saves while one batch's gradient is made, once per storage: views and repeats share theirs, and the
weights, which are there anyway, count as nothing.
"""

import os
import re
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from .objective import Objective, check_gradient

SHARE = 0.25  # of what is available: a product needs room beside the graphs, and other processes may ask at once


def graph_bytes(objective: Objective) -> int:
    """Bytes that the gradient graphs of all of this process's batches would hold, judged by the first batch.

    Raises ValueError where the loss has no gradient.
    """
    first = next(iter(objective.batches()), None)
    if first is None:
        return 0
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself, in its own graph, would be a circle that nothing frees

    weight, inputs, target = first
    weights = objective.parameters.tensors
    with objective.differentiating(), torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        loss = objective.batch_loss(inputs, target)
        check_gradient(loss)
        gradient = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    for owned in objective.model.parameters():
        saved.pop(owned.untyped_storage().data_ptr(), None)
    del gradient
    batches = sum(share for share, _, _ in objective.batches()) / weight
    return int(sum(saved.values()) * batches)


def fits(objective: Objective) -> bool:
    """Whether the gradient graphs of all batches take at most a quarter of the memory that is available.

    In several processes: whether they do in every one, of which a CPU's memory may have to hold all.
    """
    device = objective.parameters.device
    beside = dist.get_world_size(objective.group) if objective.group and device.type == "cpu" else 1
    enough = graph_bytes(objective) <= SHARE * available(device) / beside
    misfits = torch.tensor(int(not enough), device=device)
    return not int(objective.reduced(misfits))


def available(device: torch.device) -> int:
    """Bytes that can still be had on ``device``: on a CPU, without swapping, and within the control group's limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [_free()]
    for limit, usage in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        numbers = [_read(Path(name)).strip() for name in (limit, usage)]
        if all(number.isdigit() for number in numbers):
            limits.append(int(numbers[0]) - int(numbers[1]))
    return max(min(limits), 0)


def _free() -> int:
    """What /proc/meminfo says is available; elsewhere half of all there is."""
    found = re.search(r"^MemAvailable: *(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
