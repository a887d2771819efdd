"""How the results of runs agree: which components are the same, and which rows have one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdist.composition.model import make_model
from emdist.engines.threads import LocalEngine
from emdist.errors import EmdistError
from emdist.fit.aligning import Matching, matched
from emdist.fit.events import Began, Listener, Progress, unheard
from emdist.fit.fitted import Fitted
from emdist.interfaces import Model
from emdist.jobs.evaluate import agreement_of, array_of_labels
from emdist.jobs.records import load_fitted
from emdist.jobs.row_ranges import ROWS
from emdist.jobs.runs.described import COMPLETE, RunInfo
from emdist.quality.agreement import PairCounts, pair_counts
from emdist.store.labels.place import label_mark
from emdist.store.places.location import Location
from emdist.store.runs.run_record import digest


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs that are compared.

    Attributes
    ----------
    place, info, record
        Where it is, what is known of it, and its record.
    """

    place: Location
    info: RunInfo
    record: Mapping[str, Any]

    def model(self) -> tuple[Model[Any], Fitted]:
        """Return its model, for a sweep the best one."""
        section, fitted, _ = load_fitted(self.place)
        return make_model(section), fitted

    @property
    def labels(self) -> Location | None:
        """Where its labels are, if it has finished and they are complete."""
        if self.info.labels is None or self.info.state not in COMPLETE:
            return None
        place = Location(self.info.labels, self.place.options)
        mark = label_mark(place)
        whole = mark is not None and mark.get("complete") and "labels" in mark.get("outputs", ())
        return place if whole else None

    @property
    def rows(self) -> tuple[Any, Any]:
        """What identifies the rows that it labels."""
        return digest(self.record.get("data")), self.record.get(ROWS)


def matches_of(
    runs: Sequence[ComparedRun], read_labels: bool = True, listen: Listener = unheard
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return how each run after the first one agrees with the first, and notes on what does not.

    Returns
    -------
    matches
        For each further run: ``run``, ``with``; if both have models, ``components`` (each with
        ``component``, ``matches``: that of the first run or None, ``weight``, ``weight_before``
        and ``moved``, in standard deviations) and ``gone``, the components of the first run that
        it does not have; and if both have labels of the same rows, ``labels``: figures of
        agreement, and ``same``: the share of rows whose components match.
    notes
        Sentences that say what could not be compared, and why.
    """
    first, found, notes = runs[0], [], []
    for other in runs[1:]:
        one: dict[str, Any] = {"run": other.info.key, "with": first.info.key}
        named, matching = f"{other.info.key} and {first.info.key}", None
        try:
            if first.info.has_model and other.info.has_model:
                matching, told = _components(first, other)
                one |= told
            else:
                notes.append(f"{named}: not both have a finished model, so components are left.")
        except EmdistError as error:
            notes.append(f"The components of {named} cannot be compared. {error}")
        try:
            if read_labels:
                why, pairs = _pairs(first, other, listen)
                notes += [f"The labels of {named} cannot be compared: {why}."] if why else []
                if pairs is not None:
                    one["labels"] = agreement_of(pairs) | _same(pairs, matching)
        except EmdistError as error:
            notes.append(f"The labels of {named} cannot be compared. {error}")
        found.append(one)
    return found, notes


def _components(first: ComparedRun, other: ComparedRun) -> tuple[Matching, dict[str, Any]]:
    """Return which component of `other` is which of `first`."""
    (model, fitted), (before, reference) = other.model(), first.model()
    matching = matched(model, fitted, before, reference)
    weights, earlier = fitted.params.shares, reference.params.shares
    return matching, {
        "components": [
            {
                "component": int(own),
                "matches": None if of < 0 else int(of),
                "weight": float(weights[own]),
                "weight_before": None if of < 0 else float(earlier[of]),
                "moved": None if of < 0 else float(moved),
            }
            for own, of, moved in zip(matching.order, matching.matches, matching.moved, strict=True)
        ],
        "gone": list(matching.gone),
    }


def _pairs(
    first: ComparedRun, other: ComparedRun, listen: Listener
) -> tuple[str, PairCounts | None]:
    """Return why labels cannot be compared, or "" and the counts of their pairs."""
    places = [one.labels for one in (first, other)]
    lacking = [one.info.key for one, at in zip((first, other), places, strict=True) if at is None]
    if lacking:
        verb = "has" if len(lacking) == 1 else "have"
        return f"{' and '.join(lacking)} {verb} no complete labels", None
    if first.rows != other.rows:
        return "they are of other rows", None
    arrays = [array_of_labels(place) for place in places if place is not None]
    listen(Began("labels", f"of {first.info.key} and {other.info.key}, {arrays[0].shape[0]:,}"))
    return "", pair_counts(arrays[0], arrays[1], _Told(listen))


@dataclass(frozen=True)
class _Told:
    """Threads that report the progress of their pass."""

    listen: Listener

    def map_reduce(self, task: Any, blocks: Sequence[int], done: Any = None) -> Any:
        """Do what `LocalEngine.map_reduce` does, and report each block."""
        total = len(blocks)
        return LocalEngine().map_reduce(
            task, blocks, lambda count: self.listen(Progress("labels", count, total))
        )


def _same(pairs: PairCounts, matching: Matching | None) -> dict[str, Any]:
    """Return the share of rows whose two labels are matching components."""
    if matching is None:
        return {}
    other_of = {int(of): int(own) for own, of in zip(matching.order, matching.matches, strict=True)}
    wanted = np.array([other_of.get(int(label), -3) for label in pairs.first])
    # Negative labels mean the same in both: noise, and rows that were left out.
    wanted = np.where(pairs.first < 0, pairs.first, wanted)
    return {"same": float(pairs.count[wanted == pairs.second].sum() / pairs.rows)}
