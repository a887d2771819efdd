"""Rows of the result tables: emdist compared with one rival each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.comparison.agreement import different_labels, disagreements
from benchmarks.comparison.measuring import Measured
from benchmarks.comparison.workload import Workload, median
from emdist.interfaces import Array


@dataclass(frozen=True)
class Row:
    """The comparison of emdist with one rival.

    Attributes
    ----------
    workload, group, title, rival, unit
        Name, table and title of the workload; title of the rival; unit of the values.
    ratio, low, high
        Median, least and greatest ratio of the rounds: the rival's value over emdist's. None if
        one of them took no part.
    at_least
        Target of `ratio`, or None.
    ours, theirs
        Median values of emdist and of the rival, in `unit`.
    our_peak, their_peak, our_extra, their_extra, budget
        Peak resident bytes; bytes that the work added to data and imports; bytes that emdist may
        use.
    our_figures, their_figures
        Other results of each, such as inertia.
    disagreements
        Sentences about figures that differ; empty if both did the same work.
    note
        Why there is no ratio, or how it was measured.
    """

    workload: str
    group: str
    title: str
    rival: str
    unit: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    ours: float | None = None
    theirs: float | None = None
    our_peak: int | None = None
    their_peak: int | None = None
    our_extra: int | None = None
    their_extra: int | None = None
    budget: int | None = None
    our_figures: Mapping[str, float] = field(default_factory=dict)
    their_figures: Mapping[str, float] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target or ratio."""
        if self.at_least is None or self.ratio is None:
            return None
        return self.ratio >= self.at_least

    @property
    def within_budget(self) -> bool | None:
        """Whether emdist used no more memory than its budget; None if unknown."""
        if self.budget is None or self.our_peak is None:
            return None
        return self.our_peak <= self.budget

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values, with `met` and `within_budget`."""
        return {**asdict(self), "met": self.met, "within_budget": self.within_budget}


def row_of(found: Mapping[str, Any]) -> Row:
    """Make the row from which `Row.to_dict` made `found`."""
    kept = {name: value for name, value in found.items() if name in Row.__dataclass_fields__}
    kept["disagreements"] = tuple(kept["disagreements"])
    return Row(**kept)


def rows_of(
    workload: Workload, sides: Sequence[Measured], labels: Mapping[str, Array]
) -> list[Row]:
    """Make a row for each rival of a workload."""
    ours, *rivals = sides
    rows = []
    for side, theirs in zip(workload.rivals, rivals, strict=True):
        ratios = tuple(b / a for a, b in zip(ours.values, theirs.values, strict=False))
        parts = (f"{m.title}: {m.absent}" for m in (ours, theirs) if m.absent)
        found: tuple[str, ...] = ()
        if side.agrees and ratios:
            found = tuple(_disagreements(workload, ours, theirs, labels))
        rows.append(
            Row(
                workload.name,
                workload.group,
                workload.title,
                theirs.title,
                workload.unit,
                median(ratios) if ratios else None,
                min(ratios, default=None),
                max(ratios, default=None),
                side.at_least,
                median(ours.values) if ours.values else None,
                median(theirs.values) if theirs.values else None,
                ours.peak,
                theirs.peak,
                ours.extra,
                theirs.extra,
                workload.budget,
                ours.figures,
                theirs.figures,
                found,
                "; ".join([*parts, *([workload.note] if workload.note else [])]),
            )
        )
    return rows


def _disagreements(
    workload: Workload, ours: Measured, theirs: Measured, labels: Mapping[str, Array]
) -> list[str]:
    found = disagreements(ours.figures, theirs.figures, workload.tolerances)
    if "labels" in workload.tolerances and {ours.title, theirs.title} <= labels.keys():
        share = different_labels(labels[ours.title], labels[theirs.title])
        if share > workload.tolerances["labels"]:
            found.append(f"{share:.2%} of the labels differ")
    return found
