"""A piece's forward and backward as one CUDA graph: recorded once, then replayed on other images in the same memory.

A GPU that is done with a small kernel before Python has launched the next one waits for Python. A graph is launched
whole. It replays the kernels that were recorded, on the addresses that they had: images are copied to where the
recorded ones were, and gradients appear where the recorded ones appeared. What Python decides (T, the loss, which
kernels) is as it was at recording, so a phase of training records its own, and a batch that is smaller, an epoch's
last, is launched kernel by kernel as always. The recording keeps what a step allocates: that much memory more is taken.

Whether that gains depends on network, batch and machine. So it is measured, on the first batch of a run and of each
phase: both ways a few times, without moving weights or running averages, and the faster stays.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Compute = Callable[[Tensor, Tensor, int], Tensor]
"""From inputs, labels and the images in the batch to the piece's part of the loss; adds to the weights' ``.grad``."""

_WARM, _TIMED = 3, 10


@dataclass(frozen=True)
class _Recorded:
    inputs: Tensor
    labels: Tensor
    batch: int
    loss: Tensor
    gradients: list[Tensor | None]
    replay: Callable[[], None]

    def fits(self, inputs: Tensor, labels: Tensor, batch: int) -> bool:
        kind = inputs.shape, inputs.dtype, labels.shape, batch
        return kind == (self.inputs.shape, self.inputs.dtype, self.labels.shape, self.batch)


class Graphs:
    """Computes pieces as ``compute`` would, by replaying its first where that is faster.

    ``always`` doesn't ask whether it is. ``quiet`` says nothing of what was found.
    """

    def __init__(self, network: nn.Module, *, always: bool = False, quiet: bool = False):
        self.network, self.always, self.quiet = network, always, quiet
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.recorded: _Recorded | None = None
        self.asked = False

    def __call__(self, compute: Compute, inputs: Tensor, labels: Tensor, batch: int) -> Tensor:
        """``compute(inputs, labels, batch)``."""
        if not self.asked:
            self.asked = True
            with torch.cuda.device_of(inputs):
                self.recorded = self._record(compute, inputs, labels, batch)
        recorded = self.recorded
        if recorded is None or not recorded.fits(inputs, labels, batch):
            return compute(inputs, labels, batch)
        # Gradients of the batch's earlier pieces may lie where this one's will.
        earlier = [None if weight.grad is None else weight.grad.clone() for weight in self.weights]
        recorded.inputs.copy_(inputs)
        recorded.labels.copy_(labels)
        recorded.replay()
        for weight, before, found in zip(self.weights, earlier, recorded.gradients, strict=True):
            weight.grad = found if before is None or found is None else before.add_(found)
        return recorded.loss.clone()

    def _record(self, compute: Compute, inputs: Tensor, labels: Tensor, batch: int) -> _Recorded | None:
        inputs, labels = inputs.clone(), labels.clone()
        buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        gradients = [weight.grad for weight in self.weights]

        def work() -> list[Tensor | None]:
            self.network.zero_grad()
            loss = compute(inputs, labels, batch)
            return [loss, *(weight.grad for weight in self.weights)]

        try:
            warmed_up(work)
            launched = 0.0 if self.always else seconds(work)
            replay, (loss, *found) = record(work)
            replayed = 0.0 if self.always else seconds(replay)
        except RuntimeError as failure:
            reason = str(failure).partition("\n")[0]
            if self.always:
                raise ValueError(f"--cuda-graph on: the step can't be recorded ({reason})") from failure
            self._say(f"the step can't be recorded ({reason}) and is launched kernel by kernel")
            return None
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.grad = gradient
        gains = self.always or replayed < launched
        if not self.always:
            times = f"a batch takes {1e3 * replayed:.3g} ms replayed, {1e3 * launched:.3g} launched kernel by kernel"
            self._say(f"{times}: {'used' if gains else 'not used'}")
        if not gains or loss is None:
            return None
        return _Recorded(inputs, labels, batch, loss, found, replay)

    def _say(self, what: str) -> None:
        if not self.quiet:
            print(f"CUDA graph: {what}", file=sys.stderr)


def warmed_up(work: Callable[[], object]) -> None:
    """Have ``work`` done a few times beside the present stream: libraries choose and compile their kernels."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM):
            work()
    torch.cuda.current_stream().wait_stream(stream)


def record(work: Callable[[], list[Tensor | None]]) -> tuple[Callable[[], None], list[Tensor | None]]:
    """What does ``work`` again, and the tensors that it then writes its results to."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # another thread may be loading the next images
        found = work()
    return graph.replay, found


def seconds(work: Callable[[], object]) -> float:
    """Mean time of ``work`` when it is done several times in a row."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(_TIMED):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / _TIMED
