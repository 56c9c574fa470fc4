"""``python -m tests.zoo``: models × measures, and what each answered."""

import argparse
import sys
import time
import warnings
from collections import Counter

import torch

from .entry import MEASURES
from .judge import interrupted, judged
from .table import ENTRIES

_MARK = {"right": "ok", "refused": "refused", "WRONG": "WRONG", "ERROR": "ERROR"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description="models × measures, beside naive twins")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows by name, or all of a kind")
    parser.add_argument("--half", action="store_true", help="the half that runs in the suite")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--interrupt", action="store_true", help="stop each measure at a random pass too")
    chosen = parser.parse_args()
    unknown = set(chosen.only or ()) - {entry.name for entry in ENTRIES} - {entry.kind for entry in ENTRIES}
    if unknown:
        parser.error(f"no row and no kind named {sorted(unknown)[0]!r}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = [
        entry
        for entry in ENTRIES
        if (not chosen.only or {entry.name, entry.kind} & set(chosen.only)) and (entry.half or not chosen.half)
    ]
    counts: Counter[str] = Counter()
    print(" " * 44 + " ".join(f"{name[:8]:8s}" for name in chosen.measures) + " seconds")
    for entry in rows:
        began, cells, sentences = time.perf_counter(), [], {}
        for measure in chosen.measures:
            if measure not in entry.measures():
                cells.append("")
                continue
            try:
                outcome = judged(entry, measure)
            except Exception as error:  # noqa: BLE001 - a row that can't be built is told, the others go on
                cells.append("BROKEN")
                counts["BROKEN"] += 1
                sentences[f"the zoo itself: {type(error).__name__}: {error}"] = measure
                continue
            stopped = interrupted(entry, measure) if chosen.interrupt and outcome.good else ""
            status = "WRONG" if stopped else outcome.status
            counts[status] += 1
            cells.append(_MARK[status])
            if stopped or outcome.sentence:
                said = f"{status}: {stopped or outcome.sentence}"
                sentences[said] = f"{sentences[said]}, {measure}" if said in sentences else measure
        took = time.perf_counter() - began
        print(f"{entry.kind:11s} {entry.name:32s}" + " ".join(f"{cell:8s}" for cell in cells) + f" {took:7.1f}")
        for sentence, measures in sentences.items():
            print(f"    {measures}: {sentence[:300]}", flush=True)
    print(f"{len(rows)} models: " + ", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    return int(any(counts[status] for status in ("WRONG", "ERROR", "BROKEN")))


if __name__ == "__main__":
    sys.exit(main())
