"""A folder of weights trained elsewhere, METHOD-SEED.pth, as they came from the trainer."""

from pathlib import Path

from my_network import Net, test, train

from analysis.subject import Subject
from models.elsewhere import load_into


def subjects(folder="weights"):
    for file in sorted(Path(folder).glob("*.pth")):
        method, _, seed = file.stem.rpartition("-")
        yield Subject(load_into(Net(), file), train=train, test=test, method=method, seed=int(seed))
