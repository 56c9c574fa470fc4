"""What a sweep is asked with."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Config:
    """Train and measure every network of a plan."""

    plan: tyro.conf.Positional[Path]
    """A TOML file with factors and their levels, and what all networks share."""
    out: Path = Path("runs/sweep")
    """Folder for checkpoints and tables."""
    jobs: int = 2
    """Processes at a time, one thread each; each takes a network, trains it and measures it."""
    executor: str | None = None
    """Where networks are trained and measured instead: FILE.py:FUNCTION, which returns a concurrent.futures.Executor
    (analysis.study.executors)."""
    data_root: str | None = None
    """Folder with the data set's files, for those that have files."""
    device: str = "cpu"
    """cpu, cuda, cuda:1 …"""
    dry_run: bool = False
    """Train nothing that is kept: say how many networks, hours and gigabytes, from three of them trained briefly."""
    yes: bool = False
    """Do it for more than 2,000 networks too."""
