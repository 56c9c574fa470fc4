"""Training images of which some have labels drawn at random: what a network can only memorise.

Zhang, Bengio, Hardt, Recht, Vinyals, "Understanding deep learning requires rethinking generalization", ICLR 2017: such
a network may fit all of them, and then its gap is as large as gaps are. ``share`` of the images, drawn by ``seed``, get
a label drawn uniformly from all classes, which of C classes is the true one in 1/C of the cases. Test images keep
theirs. The labels are the data set's from there on: whatever is measured on training images later sees the same.
"""

from dataclasses import replace

import torch
from torch import Generator

from .dataset import Data

_APART = 1_000_003  # from what else is drawn by the same seed: the order of the images, the weights


def relabelled(data: Data, share: float, seed: int) -> Data:
    """``data`` with ``share`` (0 … 1) of the training labels redrawn by ``seed``; both are among its arguments.

    Raises ValueError for another share, and for data without class labels.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"random labels are a share of the training images, from 0 to 1, got {share}")
    if not share:
        return data
    labels = data.train.labels
    if labels.ndim != 1 or labels.is_floating_point() or data.num_classes < 2:
        raise ValueError(f"labels at random need class labels, which {data.name} has not")
    generator = Generator().manual_seed((seed * _APART + 1) % 2**63)
    chosen = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    drawn = torch.randint(data.num_classes, (len(labels),), generator=generator)
    redrawn = labels.clone()
    redrawn[chosen] = drawn[chosen].to(labels.device, labels.dtype)
    arguments = data.arguments | {"random_labels": share, "label_seed": seed}
    return replace(data, train=replace(data.train, labels=redrawn), arguments=arguments)
