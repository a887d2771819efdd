"""`emdist inspect`: describes a run, model, labels or array at a path, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from emdist.composition.recipe import Recipe
from emdist.composition.sweep_config import SweepConfig
from emdist.fit.fitted import Fitted
from emdist.fit.state import FitState, Record
from emdist.fit.together.sweep import decode_fits
from emdist.jobs.finished import SUMMARY, identity_of, stored_summary
from emdist.jobs.origin import RECORD
from emdist.jobs.records import load_fitted, reading_of, recorded_config
from emdist.jobs.row_ranges import ROWS
from emdist.prepare.preparation import Preparation
from emdist.report.page import listed_steps
from emdist.settings.config import FitSection, ModelSection, make_section
from emdist.store.description import describe_array, describe_group, describe_labels
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.places.zip_paths import zip_at
from emdist.store.runs.model_files import read_model
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import former
from emdist.store.runs.sealed import Contents
from emdist.store.sources.zarr_source import ArrayRef

_HISTORY = 10


def inspect(location: Location, array: str = "", verify: bool = False) -> dict[str, Any]:
    """Describe what is at `location`, without changing anything.

    Parameters
    ----------
    location
        Location of a run, a model, labels or an array.
    array
        Path of an array inside a Zarr group.
    verify
        Whether to read labels and compare them with their digests (``blocks_damaged``). For a run,
        also whether all labels are there (``labels_complete``).

    Returns
    -------
    dict
        JSON values. ``kind`` says what was found.

    Raises
    ------
    DataError, CheckpointError
        If there is nothing, or it is damaged.
    """
    ref = ArrayRef(location, array)
    if location.is_local and (location.path.is_file() or zip_at(location.url)):
        # A ZIP file may hold arrays. Of any other file, the error says what to do with it.
        return describe_group(ref) or describe_array(ref)
    folder = open_folder(location)
    if not array and folder.exists("run.json"):
        return {**_run(location), **_labels_of(location, verify)}
    if not array and folder.exists("model.json"):
        section, fitted, meta = load_fitted(location)
        reading = reading_of(location, section, meta).model_dump()
        return {"kind": "model", **_model(section, fitted), "config": {"data": reading},
                "versions": meta.get("versions")}  # fmt: skip
    labels = describe_labels(location, verify) if not array else None
    return labels or describe_group(ref) or describe_array(ref)


def _labels_of(run: Location, verify: bool) -> dict[str, Any]:
    """Read the labels in the folder of `run` and compare them with their digests, if `verify`."""
    found = describe_labels(run.child("labels.zarr"), verify) if verify else None
    if found is None:
        return {}
    told = ("blocks_damaged", "complete")
    return {f"labels_{name}" if name == "complete" else name: found[name] for name in told}


def faults(found: Mapping[str, Any]) -> list[str]:
    """Return a line for each fault of labels that `inspect` found, with its remedy."""
    lines = []
    if not found.get("complete", True) or not found.get("labels_complete", True):
        lines.append(
            "The labels are not complete. To complete them, start the same `emdist fit` or "
            "`emdist label` again."
        )
    if damaged := found.get("blocks_damaged"):
        shown = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
        lines.append(
            f"Blocks of labels are damaged: {shown}. To write them again, "
            "start the same `emdist fit` or `emdist label` again."
        )
    return lines


def _model(section: ModelSection, fitted: Fitted) -> dict[str, Any]:
    return {
        "model": section.title,
        "components": fitted.n_components,
        **({"noise": float(fitted.params.noise)} if section.noise is not None else {}),
        "features": fitted.n_features_in,
        "feature_names": None if fitted.feature_names is None else list(fitted.feature_names),
        **_preparation(fitted.preparation),
        "objective": None if math.isnan(fitted.objective) else fitted.objective,
        "iterations": fitted.iterations,
        "status": fitted.status.value,
    }


def _preparation(made: Preparation | None) -> dict[str, Any]:
    """Return what to tell of how a model prepares rows; empty if it does not."""
    if made is None:
        return {}
    return {"prepare": listed_steps(made.config()), "prepared_features": made.n_features,
            **({"prepare_notes": list(made.notes)} if made.notes else {})}  # fmt: skip


def _run(location: Location) -> dict[str, Any]:
    run = RunFolder(location)
    record = run.record()
    config = recorded_config(record, location)
    recipes = _recipes(config, location)
    found: dict[str, Any] = {
        "kind": "sweep" if recipes[0].name else "run",
        "run": str(location),
        "created": record.get("created"),
        "config": config,
        "data": record.get("data"),
        "plan": record.get("plan"),
        "versions": record.get("versions"),
    }
    if isinstance(origin := record.get(RECORD), dict):
        found["started_from"] = origin.get("place")
    if (rows := record.get(ROWS)) is not None:
        found["rows"] = rows
    if changes := [_change(one) for one in former(record)]:
        found["extended"] = changes
    has_result = run.has_result()
    if (saved := run.load("ckpt")) is not None:
        found |= _reached(saved, recipes)
    else:
        found["progress"] = (
            "finished; its checkpoints were deleted" if has_result else "no checkpoint yet"
        )
    if has_result:
        section, fitted, _ = load_fitted(location)
        found["result"] = {**_model(section, fitted), "sha256": read_model(location).sha256}
        found["done"] = run.folder.exists(SUMMARY)
        found["summary"] = stored_summary(location, identity_of(record))
        if schedule := ((found["summary"] or {}).get("model") or {}).get("schedule"):
            found["schedule"] = schedule
    return found


def _reached(saved: Contents, recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Return how far the fits of a run are by its newest checkpoint."""
    types, alone = [one.types for one in recipes], not recipes[0].name
    fits = decode_fits(saved.arrays, saved.meta, types, alone).fits
    progress = {one.name: _progress(fit) for one, fit in zip(recipes, fits, strict=True)}
    told = {"sequence": saved.sequence, "owner": saved.epoch, "sha256": saved.sha256}
    found: dict[str, Any] = {"checkpoint": told, "progress": progress[""] if alone else progress}
    if alone:
        found["history"] = [_line(r) for r in fits[0].history[-_HISTORY:]]
    return found


def _recipes(config: Mapping[str, Any], location: Location) -> tuple[Recipe, ...]:
    """Return what the run of a recorded `config` fits: the models of a sweep, or one model."""
    if "sweep" in config:
        return make_section(SweepConfig, config, f"{location}: config").recipes()
    section = make_section(ModelSection, config["model"], f"{location}: model")
    return (Recipe(section, make_section(FitSection, config["fit"], f"{location}: fit")),)


def _change(change: Mapping[str, Any]) -> str:
    """Format a change of stop rules as one line."""
    changed = "; ".join(map(str, change.get("changed") or ()))
    return f"{change.get('time')}, from checkpoint {change.get('checkpoint')}: {changed}"


def _line(record: Record) -> str:
    """Format an iteration as one line, with the terms of the objective that the model has."""
    terms = {
        "after the M-step": record.updated,
        "Q": record.expected,
        "entropy": record.entropy,
    }
    told = [f"{name} {value:.10g}" for name, value in terms.items() if not math.isnan(value)]
    place = f"iteration {record.iteration}: objective {record.objective:.10g}"
    if record.restart:
        place = f"restart {record.restart + 1}, {place}"
    return ", ".join([place, *told, f"shift {record.shift:.3e}"])


def _progress(state: FitState) -> str:
    if state.finished:
        restarts = len({record.restart for record in state.history})
        together = f" of {restarts} restarts together" if restarts > 1 else ""
        return f"finished after {len(state.history)} iterations{together}"
    return (
        f"restart {state.restart + 1}, {state.iteration} iterations done. Start the same command "
        "again to continue."
    )
