"""Measure by control, in words, for reading at a terminal."""

import pandas as pd

from tables.controls import wide


def table(frame: pd.DataFrame) -> str:
    """The wide view of each network, data set and method."""
    parts = []
    for key, rows in wide(frame).groupby(["network", "data", "method"], sort=False):
        network, data, method = map(str, key)
        body = rows.drop(columns=["network", "data", "method"]).to_string(index=False)
        parts += [f"{network} on {data}, {method}", body]
    return "\n".join(parts)
