"""What a conversion is asked with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Config:
    """Make a checkpoint of weights that were trained elsewhere."""

    source: tyro.conf.Positional[Path]
    """File with a state dict, alone or beside other things, written by torch.save or safetensors."""
    network: Annotated[str, tyro.conf.arg(name="as")]
    """Whose network it is: vggsnn, vggsnn-stride, resnet19 (official TET code); spiking-resnet18 …, sew-resnet18 …,
    spiking-vgg11 …, spiking-vgg11-bn … (SpikingJelly); resnet18 … (torchvision)."""
    out: Path
    """The checkpoint, FOLDER/ckpt.pt."""
    data: str
    """Data set that it was trained on, by its name in models.train. Its files are asked for when something is measured.
    """
    loss: str
    """What it was trained with, by any name (sdt, tet, ce, …): a column of every table. At T = 1 sdt, tet and ce are
    one. The landscape's losses are sdt and tet all the same."""
    weights: str = "raw"
    """Which of the weights in the file: raw, ema (their moving average, as timm keeps one), the key that they lie
    under, or what their names begin with, as ema_net beside net."""
    prefix: str = ""
    """Take only the tensors whose names begin so, without it; what wrappers put before all names goes unasked."""
    method: str | None = None
    """What its way of training is called in tables and comparisons; by default the loss's name."""
    timesteps: int | None = None
    """T that it was trained for; by default the network's usual one."""
    seed: int = 0
    """A column too, by which checkpoints are paired."""
    batch_size: int | None = None
    """Images a step of its training, which analysis.momentum asks for."""
    momentum: float | None = None
    """Its optimizer's momentum or first beta, which analysis.momentum asks for."""
    decay: float = 0.5
    """TET: factor on the membrane, the paper's tau."""
    gamma: float = 1.0
    """TET: width of the triangle."""
    node: Literal["IFNode", "LIFNode"] | None = None
    """SpikingJelly: its neuron."""
    tau: float | None = None
    """SpikingJelly's LIFNode: time constant, by default 2."""
    decay_input: bool = True
    """SpikingJelly's LIFNode: whether the current is divided by tau."""
    v_threshold: float = 1.0
    """Firing threshold."""
    v_reset: float | None = 0.0
    """What the membrane is set to by a spike; None, a soft reset, and others than 0 are refused."""
    surrogate: Literal["Sigmoid", "ATan", "PiecewiseQuadratic"] = "Sigmoid"
    """SpikingJelly: surrogate function."""
    alpha: float | None = None
    """SpikingJelly: its alpha, by default 4, 2 and 1."""
    detach_reset: bool = False
    """Whether the gradient through the reset was cut."""
    cut: Literal["count", "time"] = "count"
    """Events: frames of equal event count, or of equal time."""
    binary_frames: bool = False
    """Events: whether a pixel saw any, as in the official code, instead of how many."""
    split: Literal["number", "number-first", "authors", "random"] | None = None
    """Recorded events: which of them test."""
    split_seed: int = 0
    """Draws the images for training where nothing else says which, and the order of all."""
    train_images: int | None = None
    """How many images it was trained on; by default 200 digits, or all."""
    image_size: int | None = None
    """Pixels a side, for what is resized as it is read (ImageNet: 224, recorded events: 48, N-MNIST: 32)."""
