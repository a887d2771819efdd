"""`Profile`: what the clusters of a model are, as data frames, Parquet, Markdown and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from emdist.errors import ConfigError
from emdist.quality.profiles.figures import LEVELS, Figures
from emdist.report.page import Page, numbered
from emdist.report.profile_tables import Table, tables_of
from emdist.runtime.extras import need

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

#: The tables of a profile.
TableName = Literal["features", "clusters", "values", "representatives"]
#: How many features that set a cluster apart are named on its line.
_NAMED = 3
#: A feature that separates less than this is not named: its distributions are nearly the same.
_LEAST = 0.2
#: Standard deviations beyond which the mean of a cluster is high or low.
_AWAY = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """What the rows of each cluster have, feature by feature, in the units of the data.

    Attributes
    ----------
    labels : tuple of int
        The labels of the clusters; -1 is noise, and comes last.
    names : tuple of str
        The names of the features of the data.
    figures : Figures
        The figures, as arrays.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...]
    figures: Figures

    def __repr__(self) -> str:
        """Return the line of each cluster, as `emdist describe` prints them."""
        return self.page().to_markdown().rstrip("\n")

    def _repr_markdown_(self) -> str:
        """Return what notebooks show."""
        return self.to_markdown()

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles."""
        return LEVELS

    def table(self, name: TableName = "features") -> Table:
        """Return a table as columns by name; see `to_frame`."""
        if name not in get_args(TableName):
            raise ConfigError(
                f"table={name!r}; expected one of {', '.join(map(repr, get_args(TableName)))}."
            )
        return tables_of(self.labels, self.names, self.figures)[name]

    def to_frame(self, table: TableName = "features") -> pandas.DataFrame:
        """Return a table as a pandas data frame.

        Parameters
        ----------
        table : {'features', 'clusters', 'values', 'representatives'}, default='features'
            'features' has a row for each cluster and feature: moments, extremes, quantiles with
            the largest error that they can have, and how the feature sets the cluster apart.
            'clusters' has a row for each cluster: rows, shares, entropy. 'values' has the shares of
            the values of features with few whole numbers, such as bits, counts and categories.
            'representatives' has the most typical and the most doubtful rows.

        Returns
        -------
        frame : pandas.DataFrame
            The table.
        """
        pandas: Any = need("pandas", "A data frame of a profile")
        return pandas.DataFrame(self.table(table))

    def to_parquet(self, path: str | os.PathLike[str], table: TableName = "features") -> None:
        """Write a table to a Parquet file; `table` is that of `to_frame`."""
        arrow: Any = need("pyarrow", "A Parquet file of a profile")
        parquet: Any = need("pyarrow.parquet", "A Parquet file of a profile")
        columns = {name: arrow.array(list(column)) for name, column in self.table(table).items()}
        parquet.write_table(arrow.table(columns), os.fspath(path))

    def apart(self, cluster: int) -> list[int]:
        """Return the few features, by number, that set a cluster apart most.

        Parameters
        ----------
        cluster : int
            The position of the cluster in `labels`.
        """
        found = self.figures
        strength = found.differences if found.separations is None else found.separations
        strong = np.abs(np.nan_to_num(strength[cluster])) >= _LEAST
        return [int(j) for j in found.ranked(cluster)[:_NAMED] if strong[j]]

    def to_dict(self) -> dict[str, Any]:
        """Return all tables as JSON values: a list of records by the name of each table."""
        found = tables_of(self.labels, self.names, self.figures)
        return {name: _records(table) for name, table in found.items()}

    def page(self, facts: Sequence[tuple[str, str]] = ()) -> Page:
        """Return one line for each cluster: share, certainty, and what sets it apart."""
        found = self.figures
        total = found.weight.sum()
        soft = found.shared is not None
        rows = []
        for c, label in enumerate(self.labels):
            certain = "" if found.shared is None else _share(float(found.shared[c, c]))
            rows.append(
                [
                    "noise" if label < 0 else str(label),
                    f"{int(found.rows[c]):,}",
                    _share(float(found.weight[c] / total)),
                    *([certain] if soft else []),
                    self._told(c),
                ]
            )
        header = ("cluster", "rows", "share", *(("certain",) if soft else ()), "set apart by")
        return Page(facts, header, rows, ("set apart by",))

    def _told(self, c: int) -> str:
        """Return what sets a cluster apart: ``length low (1.2 to 1.7), width (0.1 to 0.4)``."""
        if not self.figures.rows[c]:
            return "no rows"
        found = []
        for j in self.apart(c):
            away = self.figures.differences[c, j]
            side = " high" if away > _AWAY else " low" if away < -_AWAY else ""
            found.append(f"{self.names[j]}{side} ({self._range(c, j)})")
        return ", ".join(found) or ("" if len(self.labels) == 1 else "nothing much")

    def _range(self, c: int, j: int) -> str:
        """Return where the middle 90 % of the values lie; the mean of whole numbers of few."""
        quantiles = self.figures.quantiles
        mean = _number(float(self.figures.means[c, j]))
        if quantiles is None or any(one.feature == j for one in self.figures.values):
            return f"mean {mean}"
        low, high = (_number(float(quantiles.values[c, j, q])) for q in (0, -1))
        return f"{low} to {high}" if low != high else low

    def to_markdown(self) -> str:
        """Return the profile as Markdown: the clusters, then the features of each of them."""
        found = self.figures
        rows = numbered(float(found.rows.sum()), "row")
        parts = ["# Clusters", "", f"{rows}, {numbered(len(self.names), 'feature')}.", ""]
        parts += [self.page().to_markdown()]
        for c, label in enumerate(self.labels):
            if found.rows[c]:
                title = "Noise" if label < 0 else f"Cluster {label}"
                parts += [f"## {title}", "", self._features(c).to_markdown()]
        if found.quantiles is not None:
            error = np.nanmax(found.quantiles.errors, axis=(0, 2))
            told = ", ".join(
                f"{name} {_number(one)}"
                for name, one in zip(self.names, error, strict=True)
                if one > 0
            )
            parts += [f"Quantiles are exact{' up to: ' + told if told else ''}."]
        return "\n".join(parts).rstrip("\n") + "\n"

    def _features(self, c: int) -> Page:
        """Return a table of the features of a cluster, those first that set it apart most."""
        found = self.figures
        header = ["feature", "mean", "std", "min"]
        levels = () if found.quantiles is None else LEVELS
        header += [f"{level:.0%}" for level in levels] + ["max", "apart"]
        rows = []
        for j in found.ranked(c):
            values = [found.means[c, j], found.deviations[c, j], found.low[c, j]]
            if found.quantiles is not None:
                values += list(found.quantiles.values[c, j])
            apart = found.differences[c, j]
            if found.separations is not None:
                apart = found.separations[c, j]
            cells = [_number(float(one)) for one in (*values, found.high[c, j])]
            rows.append([self.names[j], *cells, "" if np.isnan(apart) else f"{apart:.2f}"])
        return Page((), header, rows, ("feature",))


def _records(table: Table) -> list[dict[str, Any]]:
    columns = {name: [_json(one) for one in column] for name, column in table.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json(value: Any) -> Any:
    found = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and not np.isfinite(found) else found


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1%}"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def check_file(path: str) -> None:
    """Raise ConfigError unless a profile can be written to a file of this name."""
    if Path(path).suffix not in _WRITERS:
        raise ConfigError(
            f"{path} ends with {Path(path).suffix!r}; expected one of {', '.join(_WRITERS)}."
        )


def write_profile(profile: Profile, path: str) -> None:
    """Write a profile to a file, in the format that the end of its name says."""
    check_file(path)
    try:
        _WRITERS[Path(path).suffix](profile, path)
    except OSError as error:
        raise ConfigError(
            f"Cannot write {path}: {error.strerror or error}. Create its folder, or check its "
            "permissions."
        ) from None


#: How a profile is written to a file, by the end of its name.
_WRITERS: Mapping[str, Callable[[Profile, str], Any]] = {
    ".md": lambda profile, path: Path(path).write_text(profile.to_markdown(), encoding="utf-8"),
    ".json": lambda profile, path: Path(path).write_text(
        json.dumps(profile.to_dict()) + "\n", encoding="utf-8"
    ),
    ".parquet": lambda profile, path: profile.to_parquet(path),
}
