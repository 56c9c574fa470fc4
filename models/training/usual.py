"""What goes with a data set unless asked otherwise: a network that suits it, and the paper's λ."""

DEFAULT_MODEL = {
    "digits": "digits-cnn",
    "digit-events": "digits-cnn",
    "cifar10": "resnet19",
    "cifar100": "resnet19",
    "imagenet": "sew-resnet34",
    "cifar10-dvs": "vggsnn",
    "dvs128-gesture": "vggsnn",
    "n-mnist": "cnn5",
}
RECORDED = ("cifar10-dvs", "dvs128-gesture", "n-mnist")
EVENTS = ("digit-events", *RECORDED)


def usual_weight(loss: str, data: str) -> float:
    """The paper's λ, which goes with TET alone."""
    if loss != "tet":
        return 0.0
    return 0.001 if data in ("imagenet", "cifar10-dvs") else 0.05
