"""What the page says of neurons: this project's where they are, of others that they are theirs."""

from pathlib import Path

from ..words.comparison import Tables

_OURS = Path(__file__).with_name("neuron.html")


def described(tables: Tables) -> str:
    """As HTML: this project's neuron where table settings says that a network has it; of others that spike a line."""
    told = tables.get("settings")
    if told is None or ("decay" in told and told["decay"].notna().any()):
        return _OURS.read_text(encoding="utf-8")
    if told["spiking"].astype(str).eq("True").any():
        return "<dt>Neurons</dt><dd>Those of the networks as given, with their own resets and derivatives.</dd>"
    return ""
