"""What defines a training run: the data, the network and every hyperparameter, as one dataclass of flags.

Defaults suit the embedded digits on a CPU; the paper's recipes (300 epochs on CIFAR, batches of 128 and more) are in
:mod:`models.training.recipes`, by name. From the paper come Adam, the cosine to zero, λ = 0.05 with TET (0.001 on
ImageNet and CIFAR10-DVS), φ = 1, decay, threshold and surrogate. Silent in its body, and so chosen: the learning rate,
and that the last epoch's weights are the result.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Train one network."""

    out: Path
    """Folder for ckpt.pt, history.csv and snapshots/."""
    loss: str = "tet"
    """Standard direct training (sdt), temporal efficient training (tet), or another of models.losses: lts, tmc, trt, ce
    (for outputs without time), or your own as FILE.py:NAME, a function (output, target) to one value an example."""
    method: str | None = None
    """What this way of training is called in tables and comparisons, any name; by default the loss's, with +sam or
    +asam behind it where steps are sharpness-aware."""
    data: str = "digits"
    """Data set: digits, digit-events, cifar10, cifar100, imagenet, cifar10-dvs, dvs128-gesture or n-mnist; or your own:
    a file FILE.npz with x and y, a folder with train and test, or FILE.py:NAME, which returns two Datasets."""
    frames: bool | None = None
    """Your own data: whether the first axis of an example is time; by default where an example has four axes."""
    cut: Literal["count", "time"] = "count"
    """Events: frames of equal event count, or of equal time."""
    binary_frames: bool = False
    """Events: whether a pixel saw any, as in the official code, instead of how many."""
    split: Literal["number", "number-first", "authors", "random"] | None = None
    """Recorded events: which of them test (models.data.event_data); by default number (cifar10-dvs), else authors."""
    split_seed: int = 0
    """Draws the images for training where nothing else says which, and the order of all."""
    vary_data: bool = False
    """Draw them with the seed too, by --split-seed plus --seed: each seed has a training set of its own, the same for
    every method, so that what varies over seeds includes it."""
    model: str | None = None
    """Network; by default one that suits the data: digits-cnn, resnet19 (CIFAR), sew-resnet34 (ImageNet),
    vggsnn (recorded events), cnn5 (N-MNIST). With arguments as in digits-cnn?channels=24. Or your own as
    FILE.py:NAME?key=value, which returns a module."""
    timesteps: int = 4
    """T, the steps a network is run for; 1 for a network that doesn't spike."""
    epochs: int = 50
    """Passes over the training images, at most; the learning rate's cosine spans them all. With --phases their sum."""
    phases: str | None = None
    """Epochs with another loss, T or learning rate: "200 loss=sdt; 100" or "300 timesteps=2; 50 learning_rate=1e-4"."""
    until_loss: float | None = None
    """End at the first epoch after which history.csv's training loss (eval mode, no regulariser) is at most this."""
    until_loss_of: Literal["sdt", "tet"] | None = None
    """Which loss --until-loss is about; by default the one trained with, or sdt with lts, tmc and trt."""
    batch_size: int = 50
    """Images a step."""
    accumulate: int = 1
    """Cut every batch into so many pieces, whose gradients add up; BatchNorm sees a piece at a time."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam as in the official code, or SGD."""
    learning_rate: float = 2e-3
    """At the first epoch; it falls to zero along a cosine."""
    momentum: float = 0.9
    """SGD's momentum, or Adam's first beta."""
    weight_decay: float = 0.0
    """L2 penalty; none in the paper's recipes."""
    mse_weight: float | None = None
    """The paper's lambda; by default 0 with SDT, and with TET 0.05, or 0.001 on ImageNet and CIFAR10-DVS."""
    mse_target: float = 1.0
    """The paper's phi."""
    label_smoothing: float = 0.0
    """None in the paper's recipes."""
    trt_eta: float = 0.05
    """With --loss trt: the share of the square error to the one-hot label."""
    trt_lambda: float = 1e-5
    """With --loss trt: the weights' decay."""
    trt_delta: float = 0.25
    """With --loss trt: how fast large weights' decay falls from step to step."""
    sharpness_aware: float | None = None
    """Take each step by the gradient at the weights moved uphill by this rho (SAM); 0.05 is usual, 0.5 if adaptive."""
    adaptive: bool = False
    """Move each weight uphill in proportion to its size (ASAM)."""
    adaptive_eta: float = 0.01
    """ASAM's eta, added to that size."""
    seed: int = 0
    """Of the weights, the order of the images and their augmentation."""
    train_images: int | None = None
    """Train on so many images, the same for every seed unless --vary-data; by default 200 digits, or all."""
    random_labels: float = 0.0
    """Share of the training images, from 0 to 1, whose label is drawn at random, by --seed; test images keep theirs."""
    augment: bool = True
    """The paper's augmentation where the data set has one (CIFAR, CIFAR10-DVS, ImageNet)."""
    image_size: int | None = None
    """Pixels a side, for what is resized as it is read (ImageNet: 224, recorded events: 48, N-MNIST: 32)."""
    spiking: bool = True
    """False: the ReLU twin of the network, at T = 1."""
    norm: Literal["batch", "tdbn"] = "batch"
    """BatchNorm over time and batch, or with tdBN's scaling."""
    decay: float = 0.5
    """Factor on the membrane from step to step."""
    threshold: float = 1.0
    """Firing threshold."""
    surrogate: Literal["triangle", "arctan", "sigmoid", "rectangle", "smooth"] = "triangle"
    """Surrogate derivative; smooth replaces the spike itself by a sigmoid (the paper's Table 2)."""
    width: float = 1.0
    """Of the surrogate: its area over its peak (gamma; 2/alpha; 4/k)."""
    detach_reset: bool = False
    """Cut the gradient through the reset."""
    detach_state: bool = False
    """Train without gradients from step to step (SLTT). What is measured later has them again."""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """What the network computes in; bfloat16 by autocast, with weights in float32."""
    channels_last: bool = False
    """Keep convolutions' weights and maps with channels last in memory: often faster, the same up to rounding."""
    neuron: Literal["auto", "reference", "fused", "triton"] = "auto"
    """How neurons are computed: a plain loop, in one pass on a CPU (needs a C compiler) or on CUDA; auto takes the
    pass that fits. The same up to rounding."""
    keep_spikes: Literal["values", "bits"] = "values"
    """How spikes are kept for the backward: as bits they take a 32nd of the memory (bfloat16: a 16th), and a step on a
    CPU 1 to 3 % longer. Changes no result."""
    cuda_graph: Literal["auto", "on", "off"] = "auto"
    """Replay a step recorded as a CUDA graph instead of launching its kernels one by one; auto measures what is faster.
    For one GPU. The same up to rounding."""
    evaluate_train: int | None = None
    """Training images that the training loss in history.csv is of, in proportion by class; by default all."""
    evaluate_every: int = 1
    """Epochs from one evaluation to the next, the last epoch's among them; history.csv is blank between."""
    record_momentum: bool = False
    """Write momentum_history.csv: each epoch's gradient by timestep and what momentum keeps. Changes no weights."""
    snapshots: int = 0
    """Keep a checkpoint of every n-th epoch, the last, and the untrained network in snapshots/; 0 keeps none."""
    workers: int = 0
    """Processes that read images, for data read from files as training goes (ImageNet, recorded events). Changes no
    result."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …; under torchrun cuda is a GPU for each process."""
    recipe: str | None = None
    """Start from a published recipe by name, and change it by other flags; "list" shows all."""
    tensorboard: bool = False
    """Write the history for TensorBoard too, to the folder tensorboard."""
    dry_run: bool = False
    """Train nothing: say how large the network is, and what a step and an epoch cost."""
    quiet: bool = False
    """No progress bar."""
