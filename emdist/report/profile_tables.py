"""The tables of a profile: columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from emdist.quality.profiles.figures import LEVELS, Figures

#: The columns of a table by their name, all of the same length.
Table: TypeAlias = Mapping[str, Sequence[Any]]


def tables_of(labels: tuple[int, ...], names: tuple[str, ...], found: Figures) -> dict[str, Table]:
    """Return all tables of a profile by their names."""
    return {
        "clusters": _clusters(labels, found),
        "features": _features(labels, names, found),
        "values": _values(labels, names, found),
        "representatives": _representatives(labels, names, found),
    }


def _clusters(labels: tuple[int, ...], found: Figures) -> Table:
    total = found.weight.sum()
    table: dict[str, Any] = {
        "cluster": list(labels),
        "rows": found.rows.astype(np.int64).tolist(),
        "weight": found.weight.tolist(),
        "share": (found.weight / total).tolist(),
    }
    if found.shared is not None and found.entropy is not None:
        expected = np.nansum(found.shared * found.weight[:, None], axis=0) / total
        table["expected_share"] = expected.tolist()
        table["certainty"] = np.diag(found.shared).tolist()
        table["entropy"] = found.entropy.tolist()
        others = np.where(np.eye(len(labels), dtype=bool), -1.0, np.nan_to_num(found.shared))
        second = others.argmax(axis=1)
        some = (len(labels) > 1) & (found.rows > 0)
        table["confused_with"] = [
            labels[c] if ok else None for c, ok in zip(second, some, strict=True)
        ]
    return table


def _features(labels: tuple[int, ...], names: tuple[str, ...], found: Figures) -> Table:
    k, d = found.means.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        missing = 1.0 - found.observed / found.weight[:, None]
    table: dict[str, Any] = {
        "cluster": [label for label in labels for _ in range(d)],
        "feature": [*names] * k,
        "missing": np.clip(missing, 0.0, 1.0).ravel().tolist(),
        "mean": found.means.ravel().tolist(),
        "std": found.deviations.ravel().tolist(),
        "min": found.low.ravel().tolist(),
    }
    if found.quantiles is not None:
        for q, level in enumerate(LEVELS):
            table[_level(level)] = found.quantiles.values[..., q].ravel().tolist()
    table["max"] = found.high.ravel().tolist()
    if found.quantiles is not None:
        table["quantile_error"] = found.quantiles.errors.max(axis=-1).ravel().tolist()
    table["difference"] = found.differences.ravel().tolist()
    if found.separations is not None:
        table["separation"] = found.separations.ravel().tolist()
    rank = np.empty((k, d), np.int64)
    for c in range(k):
        rank[c, found.ranked(c)] = np.arange(1, d + 1)
    table["rank"] = rank.ravel().tolist()
    return table


def _level(level: float) -> str:
    """Return the name of the column of a quantile: ``q05``."""
    return f"q{round(100 * level):02d}"


def _values(labels: tuple[int, ...], names: tuple[str, ...], found: Figures) -> Table:
    table: dict[str, list[Any]] = {"cluster": [], "feature": [], "value": [], "share": []}
    for one in found.values:
        for c, label in enumerate(labels):
            for value, share in zip(one.values, one.shares[c], strict=True):
                line = (label, names[one.feature], int(value), float(share))
                for column, cell in zip(table.values(), line, strict=True):
                    column.append(cell)
    return table


def _representatives(labels: tuple[int, ...], names: tuple[str, ...], found: Figures) -> Table:
    second = "farthest" if found.shared is None else "least certain"
    table: dict[str, list[Any]] = {"cluster": [], "which": [], "row": []}
    values: dict[str, list[Any]] = {_column(name, table): [] for name in names}
    for c, label in enumerate(labels):
        for which, rows in (("nearest", found.nearest), (second, found.doubtful)):
            for row, x in zip(rows.row[c], rows.x[c], strict=True):
                if row < 0:
                    continue
                table["cluster"].append(label)
                table["which"].append(which)
                table["row"].append(int(row))
                for column, value in zip(values.values(), x, strict=True):
                    column.append(float(value))
    return {**table, **values}


def _column(name: str, taken: Mapping[str, Any]) -> str:
    """Return the name of the column of a feature, which may be that of another column."""
    while name in taken:
        name += "_"
    return name
