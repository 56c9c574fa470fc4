"""What the page says of neurons and time: this project's where they are, of others that they are theirs."""

import re
from pathlib import Path

from ..words.comparison import Tables
from ..words.kinds import smooth, timeless

_OURS = Path(__file__).with_name("neuron.html")


def described(tables: Tables) -> str:
    """As HTML: this project's neuron where table settings says that a network has it; of others that spike a line."""
    told = tables.get("settings")
    if told is None or ("decay" in told and told["decay"].notna().any()):
        return _OURS.read_text(encoding="utf-8")
    if told["spiking"].astype(str).eq("True").any():
        return "<dt>Neurons</dt><dd>Those of the networks as given, with their own resets and derivatives.</dd>"
    return ""


def suited(html: str, tables: Tables) -> str:
    """``html`` without its parts <!--[KIND-->…<!--]--> on what the networks aren't: spiking, smooth; time, timeless."""
    kinds = {"smooth" if smooth(tables) else "spiking", "timeless" if timeless(tables) else "time"}
    return re.sub(r"<!--\[(\w+)-->(.*?)<!--\]-->", lambda m: m[2] if m[1] in kinds else "", html, flags=re.DOTALL)
