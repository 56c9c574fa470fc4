"""``--seconds``: what a command may take for each network, checked before anything is measured."""

from models import processes


def check_seconds(seconds: float | None, *, together: bool = False) -> None:
    """Raise ValueError for no time at all, and where processes that work ``together`` would each look at its clock."""
    if seconds is not None and not seconds > 0:
        raise ValueError(f"--seconds must be positive, got {seconds}")
    if seconds is not None and together and processes.world() > 1:
        raise ValueError("--seconds is measured by each process for itself: leave it out under torchrun")
