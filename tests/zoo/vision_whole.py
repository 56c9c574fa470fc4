"""torchvision's larger families, transformers of images, segmentation, detection."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as tv
from torchvision.models import segmentation
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from .attention import FUSED, mathematical
from .entry import Case, Entry, classifier, lively
from .vision import SIZES, seen


def alexnet() -> nn.Module:
    """AlexNet with a small head in place of 54 million weights, and a pool of 1."""
    model = tv.AlexNet(num_classes=3)
    model.avgpool = nn.AdaptiveAvgPool2d(1)
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(256, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    return model


def vit() -> Case:
    model = VisionTransformer(8, 4, 1, 2, 8, 8, num_classes=3)
    return classifier(model, shape=(3, 8, 8), sizes=SIZES, plain=mathematical)


def swin() -> Case:
    model = SwinTransformer([2, 2], 4, [1, 1], [2, 2], [2, 2], num_classes=3)
    return classifier(model, shape=(3, 8, 8), sizes=SIZES, plain=mathematical)


def maxvit() -> Case:
    model = tv.MaxVit((8, 8), 4, 2, [4], [1], 2, 0.0, num_classes=3)
    return classifier(model, shape=(3, 8, 8), sizes=SIZES, plain=mathematical)


class Backbone(nn.Module):
    """Two maps of an image, by name."""

    def __init__(self, *names: str):
        super().__init__()
        self.names = names
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(inplace=True))
        self.out_channels = 6

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        return dict(zip(self.names, (first, self.second(first)), strict=True))


def segmented(model: Callable[[], nn.Module], side: int = 6) -> Callable[[], Case]:
    """A dict of maps; the loss of an image is the mean over its pixels."""

    def loss(output: dict[str, Tensor], y: Tensor) -> Tensor:
        return F.cross_entropy(output["out"], y, reduction="none").mean((1, 2))

    def make() -> Case:
        batches = [(torch.randn(size, 3, side, side), torch.randint(3, (size, side, side))) for size in SIZES]
        return Case(lively(model()), loss, batches)

    return make


def fcn() -> nn.Module:
    head = nn.Sequential(nn.Conv2d(6, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1),
                         nn.Conv2d(4, 3, 1))  # fmt: skip
    return segmentation.FCN(Backbone("low", "out"), head, None)


def deeplab() -> nn.Module:
    from torchvision.models.segmentation.deeplabv3 import ASPP

    head = nn.Sequential(ASPP(6, [2, 3], out_channels=4), nn.Conv2d(4, 3, 1))
    return segmentation.DeepLabV3(Backbone("low", "out"), head, None)


def lraspp() -> nn.Module:
    return segmentation.LRASPP(Backbone("low", "high"), 4, 6, 3, inter_channels=4)


class OneMap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU(), nn.Conv2d(4, 32, 1))
        self.out_channels = 32

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def detector() -> Case:
    """FCOS: in train mode it returns its losses, image by image here; boxes are where targets say."""
    anchors = AnchorGenerator(((8,),), ((1.0,),))
    model = FCOS(OneMap(), 2, min_size=16, max_size=16, anchor_generator=anchors, image_mean=[0.0] * 3,
                 image_std=[1.0] * 3)  # fmt: skip
    for weight in list(model.head.parameters())[:12]:
        weight.requires_grad_(False)

    def loss(model: Any, batch: Any) -> Tensor:
        return torch.stack([sum(model([image], [dict(target)]).values()) for image, target in batch])

    batches = []
    for size in SIZES:
        corner = torch.rand(size, 1, 2) * 6
        boxes = torch.cat([corner, corner + 4 + 4 * torch.rand(size, 1, 2)], -1)
        pairs = zip(torch.rand(size, 3, 16, 16), boxes, strict=True)
        batches.append([(image, {"boxes": box, "labels": torch.tensor([1])}) for image, box in pairs])
    # Unchecked: it draws the size of its images, of which there is one.
    told = {"size": len, "mode": "train", "check": False}
    return Case(model, loss, batches, told, closure=True, score=loss)


def resnet(block: Any, **more: Any) -> Callable[[], nn.Module]:
    """Its stem and its first two stages, a block each."""

    def make() -> nn.Module:
        model = tv.ResNet(block, [1, 1, 1, 1], num_classes=3, **more)
        model.layer3 = model.layer4 = nn.Identity()
        model.fc = nn.Linear(128 * block.expansion, 3)
        return model

    return make


V = "vision"
ENTRIES = (
    Entry("alexnet", V, seen(alexnet, 64)),
    Entry("resnet", V, seen(resnet(BasicBlock), 16)),
    Entry("resnext", V, seen(resnet(Bottleneck, groups=4, width_per_group=2), 16)),
    Entry("vit", V, vit, expects=FUSED),
    Entry("swin", V, swin),
    Entry("maxvit", V, maxvit, expects=FUSED, dtype=torch.float32, tolerance=1e-3),
    Entry("fcn", V, segmented(fcn), half=True),
    Entry("deeplab v3", V, segmented(deeplab)),
    Entry("lraspp", V, segmented(lraspp)),
    Entry("fcos detector, closure", V, detector, tolerance=1e-6, dirty=True,
          expects={"surface": "none", "gauss_newton": "refused: output", "remainder": "refused: output"}),
)  # fmt: skip
