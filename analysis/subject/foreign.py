"""Subjects from files of weights that a network of the user's own is given, whatever layout they lie in."""

from pathlib import Path

from torch import nn

from models import code, data
from models.elsewhere import load_into

from .subject import Subject


def in_network(
    path: Path, network: str, named: str | None, *, weights: str = "raw", root: str | None = None, quiet: bool = False
) -> Subject:
    """The subject of the weights in ``path`` in what the code ``network`` makes, on the data called ``named``.

    ``weights`` says which of the file's, as :func:`models.elsewhere.read` takes it. Its method is called as the file.
    Raises CodeError, CheckpointError, FileNotFoundError and ValueError for what can't be had, naming it.
    """
    if named is None:
        raise ValueError(
            f"which data is {path} to be measured on? Name them: --data digits, mine.npz, a folder of images by class, "
            "or mine.py:data"
        )
    asked = code.parse(network)
    digests = {asked.where: code.sha256(asked.where)}
    module = code.made(asked)
    if not isinstance(module, nn.Module):
        raise ValueError(f"{network} makes a {type(module).__name__}, expected a torch.nn.Module")
    found = data.load(named, root=root, code=(named,) if code.is_code(named) else ())
    if found.sha256 is not None:
        digests[found.name] = found.sha256
    return Subject(
        load_into(module.eval(), path, weights, quiet=quiet), train=found.train, test=found.test, name=path.as_posix(),
        data=found.name, method=path.stem, code=digests,
    )  # fmt: skip
