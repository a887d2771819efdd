"""`Origin`: the earlier model that a run starts from (``fit.from``), found and kept with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emdist.composition.model import CENTRES, make_model
from emdist.errors import CheckpointError, NotFoundError, RunError, StartError
from emdist.fit.events import Listener, Warned
from emdist.fit.fitted import Fitted
from emdist.fit.online import Streamed
from emdist.fit.start import Earlier, Given, Reached
from emdist.inputs.names import both, match, names_of
from emdist.interfaces import Source
from emdist.jobs.finished import SUMMARY, sealed
from emdist.jobs.records import load_fitted, load_stream, recorded_config
from emdist.models.arrays import arrays_of
from emdist.quality.drift import Reference, check_drift
from emdist.settings.config import Config, DriftSection, ModelSection
from emdist.store.places.faults import told
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import FROM, copy_model, read_model
from emdist.store.runs.publications import published
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.sealed import MANIFEST_LIMIT

#: The value of ``fit.from`` that stands for the newest finished run.
LATEST = "latest"
#: Settings of data that may differ between a run and the `LATEST` one that it starts from.
_ROWS = ("select_rows", "select", "block_size", "weights", "where")
#: What is recorded of the model that a run started from.
RECORD = "from"


@dataclass(frozen=True)
class Origin:
    """An earlier model from which a fit starts.

    Attributes
    ----------
    place
        The folder with the files of the model.
    section, fitted
        The model.
    sha256
        What identifies it.
    reference
        What it had on its own data.
    stream
        The state of the stream that it belongs to, or None.
    """

    place: Location
    section: ModelSection
    fitted: Fitted
    sha256: str
    reference: Reference
    stream: Streamed | None = None

    def given(self) -> Given:
        """Return its parameters as starting values."""
        fitted, model, memory = self.fitted, make_model(self.section), None
        if self.stream is not None:
            # Its components have the order of the statistics, and not that of an earlier model.
            fitted, memory = replace(fitted, params=self.stream.params), self.stream.memory
        moved = model.translate(fitted.params, fitted.spread.origin)
        earlier = Earlier(Reached(), fitted.spread, fitted.params, memory)
        if self.section.name in CENTRES:
            return Given(model.locations(moved), earlier=earlier)
        arrays = dict(arrays_of(moved.components))
        if self.section.chain is not None:
            chain = {"start": fitted.params.start, "transitions": fitted.params.transitions}
            return Given(arrays.pop("means", None), None, arrays, earlier, chain)
        return Given(arrays.pop("means", None), moved.weights, arrays, earlier)

    def record(self) -> dict[str, Any]:
        """Return what is stored of it with the run, beside its files."""
        told = self.reference
        shares = None if told.shares is None else list(told.shares)
        return {"place": told.name, "score": told.score, "shares": shares}

    def keep(self, run: RunFolder) -> None:
        """Copy its files into the folder of the run, which then no longer needs the earlier one."""
        copy_model(self.place, run.location.child(FROM))


def find_origin(config: Config, run: Location, source: Source, listen: Listener) -> Origin | None:
    """Return the model that ``fit.from`` names, if it suits the run; None without one.

    A run that has begun goes on with the model that it began from.

    Raises
    ------
    NotFoundError, CheckpointError
        If there is no such model, or it is damaged.
    StartError
        If it is another kind of model, or of other features, or prepares rows by other steps.
    """
    asked = config.fit.origin
    if asked is None:
        return None
    begun, kept = _begun(run)
    latest = asked == LATEST or asked.startswith(f"{LATEST}:")
    if begun and (kept is not None or latest):
        found = kept if latest else _again(config, asked, kept)
    elif latest:
        found = _latest(config, run, listen)
    else:
        found = _loaded(Location(asked, config.run.storage_options))
    if found is not None:
        _check(config, found, source)
        _tell_stream(config, found, listen)
    return found


def _tell_stream(config: Config, found: Origin, listen: Listener) -> None:
    """Warn if the run is part of a stream whose statistics the earlier model does not have."""
    if config.fit.schedule_options.get("stream") and found.stream is None:
        listen(
            Warned(
                f"fit.schedule_options has stream: true, but {found.reference.name} has no "
                "statistics of a stream: it was fitted without this option, or lost a component at "
                "its end. This run starts from its parameters, and its statistics start anew."
            )
        )


def _again(config: Config, asked: str, kept: Origin | None) -> Origin | None:
    """Return the model at a place that a run began from, or the run's copy if it is gone."""
    try:
        found = _loaded(Location(asked, config.run.storage_options))
    except NotFoundError:
        return kept
    return kept if kept is not None and kept.sha256 == found.sha256 else found


def accepted(
    summary: dict[str, Any], limits: DriftSection, run: Location, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the summary of a finished run if its drift is within the limits; else DriftError.

    A run that was refused before is accepted from now on, also by those who ask for the latest.
    """
    drift = summary.get("result", {}).get("drift")
    if not isinstance(drift, dict):
        return summary
    check_drift(drift, limits, str(run))
    if drift.get("refused"):
        drift["refused"] = False
        open_folder(run).write(SUMMARY, sealed(json.dumps(summary).encode(), identity))
    return summary


def _begun(run: Location) -> tuple[bool, Origin | None]:
    """Return whether a run has begun, and its copy of the model that it began from."""
    try:
        record = RunFolder(run).record()
    except NotFoundError:
        return False, None
    told = record.get(RECORD)
    if not isinstance(told, Mapping):
        return True, None
    try:
        found = _loaded(run.child(FROM))
    except NotFoundError:  # The run ended before it copied the model.
        place = Location(str(told.get("place")), run.options)
        found = _loaded(place)
    shares = told.get("shares")
    reference = Reference(
        str(told.get("place")), told.get("score"), None if shares is None else tuple(shares)
    )
    return True, replace(found, reference=reference)


def _loaded(place: Location) -> Origin:
    place = published(place, "model")
    section, fitted, _ = load_fitted(place)
    reference = _reference(place, section, fitted)
    stream = load_stream(place, section)
    return Origin(place, section, fitted, read_model(place).sha256, reference, stream)


def _reference(place: Location, section: ModelSection, fitted: Fitted) -> Reference:
    """Return what a model had on its own data, as far as it is known."""
    summary = _summary(place) or {}
    # That of the final parameters is only in the summary of a run.
    score = float(summary.get("result", {}).get("final") or fitted.objective)
    shares: list[float] | None = fitted.params.shares[: fitted.n_components].tolist()
    if section.name in CENTRES:  # Their weights have no meaning, but the labels have been counted.
        score /= fitted.spread.weight
        parts = summary.get("components")
        shares = [part["weight"] for part in parts] if isinstance(parts, list) else None
    known = None if math.isnan(score) else score
    return Reference(str(place), known, None if shares is None else tuple(shares))


def _summary(place: Location) -> dict[str, Any] | None:
    """Return the summary of the run at `place`; None if it is no finished run."""
    try:
        found = json.loads(open_folder(place).read(SUMMARY, MANIFEST_LIMIT))
    except (NotFoundError, CheckpointError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _latest(config: Config, run: Location, listen: Listener) -> Origin | None:
    """Return the model of the newest finished run of the same data, or of runs by their name."""
    _, named, start = str(config.fit.origin).partition(":")
    folder = Location(config.run.folder, config.run.storage_options)
    wanted = _alike(config.identity()["data"])
    found: list[tuple[str, Location]] = []
    for place in _runs(folder):
        if place == run or not place.name.startswith(start):
            continue
        try:
            record = RunFolder(place).record()
            stored = recorded_config(record, place)
        except (NotFoundError, RunError):
            continue  # It is no run, or damaged, and no run to start from either way.
        if "sweep" in stored or not (named or _alike(stored["data"]) == wanted):
            continue
        if _is_accepted(place):
            found.append((str(record.get("created", "")), place))
    if not found:
        which = f"whose key begins with {start!r}" if named else f"of {config.data.path}"
        listen(
            Warned(
                f"fit.from is {config.fit.origin}, but {folder} has no finished run {which}. This "
                "run starts from new starting values, and its components have numbers of their own."
            )
        )
        return None
    # Of runs that began in the same second, the last by name.
    return _loaded(max(found, key=lambda one: (one[0], one[1].name))[1])


def _alike(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of data that are the same in all runs of the same data."""
    return {name: value for name, value in data.items() if name not in _ROWS and value is not None}


def _is_accepted(place: Location) -> bool:
    """Return whether a run has finished, and did not fail because its data had drifted."""
    summary = _summary(place)
    if summary is None:
        return False
    drift = summary.get("result", {}).get("drift")
    return not (isinstance(drift, dict) and drift.get("refused"))


def _runs(folder: Location) -> Iterator[Location]:
    """Yield the folders in `folder` that may be runs."""
    if not folder.is_local:
        for name in open_folder(folder).list():
            if name.count("/") == 1 and name.endswith("/run.json"):
                yield folder.child(name.partition("/")[0]).given
    elif folder.path.is_dir():
        with told("list", folder):
            names = sorted(path.name for path in folder.path.iterdir() if path.is_dir())
        yield from (folder.child(name).given for name in names if not name.startswith("."))


def _check(config: Config, found: Origin, source: Source) -> None:
    """Raise StartError unless a fit of `config` can start from the model."""
    section, model, place = found.section, config.model, found.place
    if (section.chain is None) != (model.chain is None):
        one, other = (each.title for each in (section, model))
        raise StartError(
            f"fit.from is {place}, which is {one}, but the model to fit is {other}. A hidden "
            "Markov model and a mixture cannot start from one another. Give its means by "
            "fit.start, or leave fit.from out."
        )
    if section.name != model.name:
        raise StartError(
            f"fit.from is {place}, a model {section.name}, but model.name is {model.name}. Set "
            f"model.name to '{section.name}', or leave fit.from out and give the components the "
            "same numbers afterwards by emdist.align."
        )
    k = found.fitted.n_components
    if k != model.n_components:
        raise StartError(
            f"fit.from is {place}, a model of {k} components, but model.n_components is "
            f"{model.n_components}. Set model.n_components to '{k}', or leave fit.from out and "
            "give the components the same numbers afterwards by emdist.align."
        )
    if (section.noise is None) != (model.noise is None):
        has, now = ("no noise", "noise") if section.noise is None else ("noise", "no noise")
        raise StartError(
            f"fit.from is {place}, a model with {has}, but model.noise asks for {now}. Set "
            "model.noise as in that model, or leave fit.from out."
        )
    before = found.fitted.preparation
    steps = [] if before is None else before.config()
    if steps != [step.config() for step in config.steps]:
        raise StartError(
            f"fit.from is {place}, whose rows are prepared by {steps or 'no steps'}, but prepare "
            f"is {config.prepare or 'empty'}. Use the same steps, or leave fit.from out."
        )
    known, named = found.fitted.feature_names, names_of(source)
    if match(known, named).refused:
        raise StartError(
            f"fit.from is {place}, a model of other features. {both(known, named)} Start from a "
            "model of the same features, in the same order."
        )
    if found.fitted.n_features_in != source.shape[1]:
        raise StartError(
            f"fit.from is {place}, a model of {found.fitted.n_features_in} features, but the data "
            f"have {source.shape[1]}. Start from a model of the same features."
        )
