"""The answer in three lines, from what was compared: flatter at which radii, generalizes better, what it depends on.

Each line says no more than its intervals do, and of as many methods as there are against the reference. It is read off
tables compare and crossovers of one network, data set and (of a comparison by a factor) method: :func:`parts`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import rows
from .doubts import APART, LETTERS
from .interval import FEWEST, bounds, side
from .words import listed, number, sentence, signed

Tables = Mapping[str, pd.DataFrame]
Say = Callable[[str], str]
_ALONG = {"plane": "on random planes", "line": "on random lines", "noise": "under Gaussian noise"}
_UNPAIRED = re.compile("(no seeds|one seed) in common (.*)$")  # of table crossovers, where curves take pairs
_LOST = "wasn't measured here"
_FLAT = ("average_rise[0.2]", "rise_within", "average_rise", "trace", "top_eigenvalue")


@dataclass(frozen=True)
class Answer:
    """The three lines, without the question that each answers."""

    flatter: str
    better: str
    doubt: str

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Question and answer."""
        return (
            ("Which is flatter?", self.flatter),
            ("Which generalizes better?", self.better),
            ("What does it depend on?", self.doubt),
        )


def parts(tables: Tables) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """The tables of each network, data set and method that comparisons are within, and its name."""
    for _, part in rows.families(tables["compare"]):
        own = {name: rows.same(part, frame) for name, frame in tables.items()}
        yield rows.place(part), {name: one for name, one in own.items() if len(one)} | {"compare": at_one_t(part)}


def at_one_t(compare: pd.DataFrame) -> pd.DataFrame:
    """The comparison's rows at the T of most of them: networks of different T are different ones."""
    several = "timesteps" in compare and compare["timesteps"].nunique() > 1
    return compare[compare["timesteps"] == compare["timesteps"].mode().iloc[0]] if several else compare


def answer(tables: Tables, say: Say = str) -> Answer:
    """The answer of one network and data set; ``say`` is what readers see of a method's or a loss's name."""
    return Answer(_flatter(tables, say), _better(tables["compare"], say), _doubt(tables, say))


def decided(verdict: str) -> list[tuple[str, float, float]]:
    """The stretches of radii that a verdict of table crossovers decides: "flatter" or "sharper", from where to where.

    Stretches that it leaves undecided are left out, so that what lies between two of them is claimed by neither.
    """
    said = verdict.partition(": ")[2]
    start = re.search(r"from (\S+) to ", said)
    place, found = float(start[1]) if start else 0.0, []
    for word, end in re.findall(r"(flatter|sharper|undecided)(?: from \S+)? to ([^\s,]+)", said):
        if word != "undecided":
            found.append((word, place, float(end)))
        place = float(end)
    return found


def radii(tables: Tables, logits: str = "plain") -> pd.DataFrame:
    """The verdicts by radius that speak: of the first loss, on planes where there are any, one row a method."""
    frame = tables.get("crossovers", pd.DataFrame())
    if frame.empty:
        return frame
    frame = frame[frame["loss"] == frame["loss"].iloc[0]]
    along = next(name for name in (*_ALONG, *frame["along"]) if (frame["along"] == name).any())
    return frame[(frame["along"] == along) & (frame["logits"] == logits)].drop_duplicates("method")


def _flatter(tables: Tables, say: Say) -> str:
    frame, compare = radii(tables), tables["compare"]
    if frame.empty:
        return _by_row(compare, say)
    alone = frame["verdict"].map(lambda verdict: bool(_UNPAIRED.search(verdict)))
    along = _ALONG.get(frame["along"].iloc[0], frame["along"].iloc[0])
    said = [sentence(f"{along} {_by_radius(frame[~alone], say)}")] if not alone.all() else []
    if alone.any():
        own = compare[compare["method"].isin(frame.loc[alone, "method"])]
        said += [sentence(f"by radius {_by_radius(frame[alone], say)}"), *([_by_row(own, say)] if len(own) else [])]
    return " ".join(said)


def _by_radius(frame: pd.DataFrame, say: Say) -> str:
    """What verdicts by radius say, methods of which they say the same together."""
    found: dict[str, list[str]] = {}
    for _, row in frame.iterrows():
        phrase = _at_radii(str(row["verdict"]), say(str(row["reference"])))
        found.setdefault(phrase, []).append(say(str(row["method"])))
    have = {True: "has", False: "have"}
    return "; ".join(phrase.format(listed(own), _be(own), have[len(own) == 1]) for phrase, own in found.items())


def _be(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _at_radii(verdict: str, reference: str) -> str:
    reference = _braced(reference)
    stretches = decided(verdict)
    if stretches:
        said = [f"{word}{f' than {reference}' * (not i)} {_reach(low, high, 'radius ' * (not i))}"
                for i, (word, low, high) in enumerate(stretches)]  # fmt: skip
        return f"{{0}} {{1}} {listed(said)}"
    if alone := _UNPAIRED.search(verdict):
        return f"{{0}} {{2}} {alone[1]} in common with {reference} {alone[2]}"
    if verdict.endswith(_LOST):
        return f"{{0}} can't be set beside {reference}, as the rise wasn't measured of both"
    if few := re.search(r"(\d+) seeds are too few", verdict):
        return f"{{0}} can't be told from {reference} by {few[1]} seeds"
    ends = re.search(r"from (\S+) to (\S+)$", verdict)
    return f"{{0}} can't be told from {reference} at any radius" + (f" from {ends[1]} to {ends[2]}" if ends else "")


def _reach(low: float, high: float, what: str) -> str:
    """From where to where, in two digits: between the radii that were measured ends are interpolated."""
    start, end = f"{low:.2g}", f"{high:.2g}"
    return f"from {what}{start} to {end}" if start != end else f"at {what}{start} alone"


def _braced(words: str) -> str:
    return words.replace("{", "{{").replace("}", "}}")


def _by_row(compare: pd.DataFrame, say: Say) -> str:
    """Where nothing was measured by radius: the first row on flatness that is chosen beforehand."""
    flat = compare[compare["side"] == "flatness"]
    measure = next((one for name in _FLAT for one in flat["measure"] if one.startswith(name)), "")
    if not measure:
        return "No measure of flatness was compared."
    own = flat[flat["measure"] == measure].drop_duplicates("method")
    return sentence(f"by {own['title'].iloc[0]} alone, {_told(own, say, 'flatter', 'sharper')}")


def _better(compare: pd.DataFrame, say: Say) -> str:
    accuracy = compare[compare["measure"] == "test_accuracy"]
    losses = compare[(compare["measure"] == "test_loss") & (compare["loss"] != "")]
    if accuracy.empty and losses.empty:
        return "Nothing was measured on test data."
    said = []
    if len(accuracy):
        said.append(f"in test accuracy {_told(accuracy, say, 'worse', 'better', 100.0, 'points')}")
    for names, own in _by_loss(losses, say):
        said.append(f"in test loss ({names}) {_told(own, say, 'better', 'worse')}")
    if len(losses) and not any(said[len(accuracy) > 0 :]):
        said.append("nor in test loss" if _all_undecided(accuracy) else "in test loss none can be told apart")
    return sentence("; ".join(filter(None, said)))


def _by_loss(losses: pd.DataFrame, say: Say) -> Iterator[tuple[str, pd.DataFrame]]:
    """The decided rows of each loss; of losses that say the same of all methods the first, with all names."""
    found: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for loss, own in losses.groupby("loss", sort=False):
        told = [verdict(row) for _, row in own.iterrows()]
        clear = own[[one in ("lower", "higher") for one in told]]
        if len(clear):
            key = " ".join(f"{name}={one}" for name, one in zip(own["method"], told, strict=True))
            found.setdefault(key, []).append((say(str(loss)), clear))
    for same in found.values():
        (first, own), *others = same
        yield first + (f"; by {listed([name for name, _ in others])} too" if others else ""), own


def _all_undecided(found: pd.DataFrame) -> bool:
    return len(found) > 0 and all(verdict(row) == "undecided" for _, row in found.iterrows())


def verdict(row: pd.Series) -> str:
    """What a row says of the method, by its interval: :func:`tables.interval.side`."""
    return side(*map(float, row[["difference", "low", "high", "n"]]))


def _told(own: pd.DataFrame, say: Say, lower: str, higher: str, scale: float = 1.0, unit: str = "") -> str:
    """What rows of one measure say of each method; those that can't be told from the reference together."""
    words = {"lower": lower, "higher": higher}
    reference = say(str(own["reference"].iloc[0]))
    found: dict[str, list[str]] = {}
    for _, row in own.iterrows():
        low, high = (scale * side for side in bounds(row))
        interval = f"; {number(low)} … {number(high)}" if np.isfinite([low, high]).all() else ""
        name, change = say(str(row["method"])), f"{signed(scale * row['difference'])}{f' {unit}' if unit else ''}"
        what = verdict(row)
        doubt = ", one of many rows" if what in words and LETTERS["m"] in row["trust"] else ""
        found.setdefault(what, []).append(f"{name} ({change}{interval}{doubt})" if what != "lost" else name)
    said = [f"{listed(found[what])} {_be(found[what])} {word} than {reference}"
            for what, word in words.items() if what in found]  # fmt: skip
    endings = {
        "undecided": f"can't be told from {reference}",
        "few": f"can't be told from {reference}, of too few seeds",
        "lost": "wasn't measured on both sides",
    }
    return "; ".join([*said, *(f"{listed(found[what])} {ending}" for what, ending in endings.items() if what in found)])


def _doubt(tables: Tables, say: Say) -> str:
    compare = tables["compare"]
    return " ".join(filter(None, [_scaled(tables, say), _comparable(compare, say), _over(compare, tables)]))


def _scaled(tables: Tables, say: Say) -> str:
    """What becomes of the verdicts where logits have one scale: of those that are decided with logits as they are."""
    plain, one = radii(tables), radii(tables, "network")
    if plain.empty or one.empty:
        return ""
    moved = [row["method"] for _, row in plain.iterrows() if decided(row["verdict"]) and _depends(row)]
    held = [row["method"] for _, row in plain.iterrows() if decided(row["verdict"]) and not _depends(row)]
    if moved:
        said = _by_radius(one[one["method"].isin(moved)], say)
        return f"With logits at one scale {said}: what goes beyond that may be confidence, not flatness."
    return "Which is flatter holds with logits at one scale." if held else ""


def _depends(row: pd.Series) -> bool:
    said = row.get("depends_on_scale", "")
    return isinstance(said, str) and said != ""


def _comparable(compare: pd.DataFrame, say: Say) -> str:
    flat = compare[compare["side"] == "flatness"]
    flat = flat if len(flat) else compare
    found: dict[str, list[str]] = {}
    for reason in APART:
        names = flat.loc[flat["trust"].str.contains(reason, regex=False), "method"].unique()
        if len(names):
            found[reason] = [say(str(name)) for name in names]
    return sentence("; ".join(f"{reason} ({listed(names)})" for reason, names in found.items())) if found else ""


def _over(compare: pd.DataFrame, tables: Tables) -> str:
    """What intervals are over."""
    ns = sorted({int(n) for n in compare["n"]})
    n = f"{ns[0]}" if ns[0] == ns[-1] else f"{ns[0]} to {ns[-1]}"
    if ns[-1] < FEWEST:
        return f"{n} seed{'s' * (ns[-1] != 1)} a side: too few to tell anything apart."
    varied = tables.get("settings", pd.DataFrame()).get("vary_data", pd.Series(dtype=object)).dropna()
    one = ", and one training set" if len(varied) and not varied.astype(str).eq("True").any() else ""
    return f"Intervals are over {n} seeds{one}."
