"""Compare runs: where their configurations differ, and their results side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emdist.errors import CheckpointError, ConfigError, NotFoundError
from emdist.fit.events import Listener, unheard
from emdist.jobs.finished import identity_of, stored_summary
from emdist.jobs.runs.described import LABELS, RunInfo
from emdist.jobs.runs.listing import look_at
from emdist.jobs.runs.matching import ComparedRun, matches_of
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import IDENTITY, digest, leaves_of

#: Sections of a record whose differences are shown. Stamps and digests of data say only that they
#: differ.
_SHOWN = ("config", "versions")


def compare_runs(
    places: Sequence[Location], read_labels: bool = True, listen: Listener = unheard
) -> dict[str, Any]:
    """Return JSON values that compare runs.

    Parameters
    ----------
    places
        The folders of at least two runs.
    read_labels
        Whether labels of the same rows are read, once, and compared.
    listen
        Called with each event.

    Returns
    -------
    dict
        ``runs`` (as `RunInfo`), ``differences`` (key of the configuration -> a value for each run,
        null where it is not set; only keys that differ), ``results`` (name -> a value for each
        run), ``matches`` (of each further run with the first one: components and labels; see
        `emdist.jobs.runs.matching.matches_of`), and ``notes``, which say what cannot be compared.

    Raises
    ------
    ConfigError
        For fewer than two runs.
    NotFoundError, CheckpointError
        If there is no run, or its record is damaged.
    """
    if len(places) < 2:
        raise ConfigError("A comparison takes at least two runs, as in `emdist runs compare A B`.")
    infos = [_compared(place) for place in places]
    records = [RunFolder(place).record() for place in places]
    summaries = [stored_summary(place, identity_of(record)) or {}
                 for place, record in zip(places, records, strict=True)]  # fmt: skip
    infos = _distinct(infos)
    matches, unmatched = matches_of(
        [ComparedRun(*one) for one in zip(places, infos, records, strict=True)], read_labels, listen
    )
    return {
        "runs": [info.to_dict() for info in infos],
        "differences": _differences(records),
        "results": _results(infos, summaries),
        "matches": matches,
        "notes": [*_notes(infos, records, summaries), *unmatched],
    }


def _compared(place: Location) -> RunInfo:
    """Return what is known of a run; raise an error unless its record can be read."""
    info = look_at(place)[1]
    if info.kind == LABELS:
        raise NotFoundError(f"{place} holds labels, and no run. Give the folders of runs.")
    if info.state in ("damaged", "unreadable"):
        raise CheckpointError(f"{place} cannot be compared: {info.why}")
    return info


def _distinct(infos: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the runs, named by their paths if two of them have one name."""
    if len({info.key for info in infos}) == len(infos):
        return list(infos)
    return [replace(info, key=info.path) for info in infos]


def _differences(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys that differ, with a value for each run."""
    found: dict[str, list[Any]] = {}
    for section in _SHOWN:
        each = [dict(leaves_of(record.get(section), section)) for record in records]
        for key in dict.fromkeys(key for one in each for key in one):
            values = [one.get(key) for one in each]
            if len(set(values)) > 1:
                found[key.removeprefix("config.")] = [_plain(value) for value in values]
    return found


def _plain(text: str | None) -> str | None:
    """Return a value without the quotes of JSON."""
    if text is None:
        return None
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _results(
    infos: Sequence[RunInfo], summaries: Sequence[Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """Return the rows of results that at least one run has."""
    rows: dict[str, Callable[[RunInfo, Mapping[str, Any]], Any]] = {
        "state": lambda info, _: info.state,
        "model": lambda info, _: info.model,
        "components": lambda info, _: info.k if not isinstance(info.k, list) else str(info.k),
        "best": lambda _, summary: summary.get("best"),
        "rows": lambda info, _: info.rows,
        "iterations": lambda info, _: info.iterations,
        "objective": lambda info, _: info.objective,
        "objective is": _objective,
        "objective per row": _per_row,
        "rows left out": lambda _, summary: _result(summary).get("rows_left_out"),
        "doubts": lambda _, summary: len(_result(summary).get("doubts") or ()) or None,
    }
    found = {
        name: [value(info, summary) for info, summary in zip(infos, summaries, strict=True)]
        for name, value in rows.items()
    }
    for name in dict.fromkeys(name for summary in summaries for name in _criteria(summary)):
        found[name] = [_criteria(summary).get(name) for summary in summaries]
    for stage in dict.fromkeys(stage for one in summaries for stage in one.get("seconds") or {}):
        seconds = [(one.get("seconds") or {}).get(stage) for one in summaries]
        found[f"seconds, {stage}"] = seconds
    return {name: values for name, values in found.items() if any(v is not None for v in values)}


def _result(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    found = summary.get("result")
    return found if isinstance(found, dict) else {}


def _objective(info: RunInfo, summary: Mapping[str, Any]) -> str | None:
    told = summary.get("objective")
    model = summary.get("model")
    if isinstance(model, dict):
        told = model.get("objective")
    return told if isinstance(told, str) else None


def _per_row(info: RunInfo, summary: Mapping[str, Any]) -> float | None:
    """Return the objective per row: an inertia divided by the rows that were not left out."""
    if info.objective is None or not info.rows:
        return None
    kind = _objective(info, summary)
    if kind is None or "per row" in kind:
        return info.objective if kind else None
    data = summary.get("data")
    if isinstance(data, dict) and data.get("weighted"):
        return None  # The sum of the weights is not stored.
    counted = info.rows - int(_result(summary).get("rows_left_out") or 0)
    return info.objective / counted if counted > 0 else None


def _criteria(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the criteria of the best model of a sweep."""
    models = summary.get("models")
    rows = [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    best = next((one for one in rows if one.get("name") == summary.get("best")), {})
    criteria = best.get("criteria")
    return criteria if isinstance(criteria, dict) else {}


def _notes(
    infos: Sequence[RunInfo],
    records: Sequence[Mapping[str, Any]],
    summaries: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Return sentences about what cannot be compared."""
    notes = []
    if len({digest(record.get("data")) for record in records}) > 1:
        notes.append("The runs have different data, so their objectives cannot be compared.")
    kinds = {_objective(info, one) for info, one in zip(infos, summaries, strict=True)} - {None}
    if len(kinds) > 1:
        notes.append("The objectives are of different kinds and cannot be compared.")
    if any(not summary for summary in summaries):
        notes.append("A run without a summary has the results of its last checkpoint.")
    if all(digest(records[0].get(name)) == digest(one.get(name))
           for one in records for name in IDENTITY):  # fmt: skip
        notes.append("The runs have the same configuration and data.")
    return notes
