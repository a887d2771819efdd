"""Records stored with runs and models: versions, configuration, and how the data were read."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from emdist.composition.model import make_model, param_types
from emdist.composition.recipe import Recipe
from emdist.errors import CheckpointError, ConfigError, NotFoundError
from emdist.fit.fitted import Fitted, leading, result
from emdist.fit.online import Streamed
from emdist.fit.preparing import PREPARE, decoded, encoded
from emdist.fit.soundness import check_params, check_spread, check_state
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.fit.survey import Survey
from emdist.inputs.durations import parse_duration
from emdist.inputs.names import names_of
from emdist.interfaces import Source
from emdist.jobs.units import ABOUT, with_units, without_units
from emdist.prepare.preparation import Preparation
from emdist.runtime.arithmetic import arithmetic, differing
from emdist.runtime.version import version
from emdist.settings.config import Config, FitSection, ModelSection, ReadingSection, make_section
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.codec import decode, encode
from emdist.store.runs.model_files import FROM, read_model, save_model
from emdist.store.runs.run_folder import RunFolder

#: The entry of a model's metadata, and the folder of its arrays, about how rows are prepared.
_PREPARE = "prepare"
#: The same for the statistics of a stream.
_STREAM = "stream"
#: Packages whose versions are recorded with every run and model, besides those that compute.
_RECORDED = ("zarr", "dask", "distributed", "safetensors")


def versions() -> dict[str, str]:
    """Return the versions of all software, and the CPU settings, that could change a bit."""
    found = {"python": platform.python_version(), "emdist": version(), **arithmetic()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def moved(record: Mapping[str, Any]) -> str | None:
    """Return a warning if a run resumes with another CPU or software than it began with."""
    before, now = record.get("versions"), versions()
    if not isinstance(before, dict):
        return None
    lines = differing(before, now)
    old, new = str(before.get("emdist", "")), now["emdist"]
    if old != new and old and not any("dev" in one or "+" in one for one in (old, new)):
        lines.append(f"emdist {new} in place of {old}")
    if not lines:
        return None
    return (
        f"The run continues with {'; '.join(lines)}. The results are correct, but their last bits "
        "may differ from those of an uninterrupted run. For bit-identical results, resume the run "
        "on the machine where it began, with the same packages and environment variables "
        "(NUMBA_CPU_NAME, OPENBLAS_CORETYPE)."
    )


def record(
    config: Config, source: Source, given: Given, origin: str | None = None
) -> dict[str, Any]:
    """Make run.json: configuration, data and block plan as the identity, and versions.

    `origin` identifies the model that the run starts from.
    """
    identity = config.identity()
    # By its contents and not by its place: what `latest` stands for changes.
    identity["fit"].pop("from", None)
    if origin is not None:
        identity["from_sha256"] = origin
    if config.fit.start is not None:
        arrays = [given.means, given.weights, *given.scales.values()]
        found = hashlib.sha256(b"".join(a.tobytes() for a in arrays if a is not None))
        identity["start_sha256"] = found.hexdigest()
    bounds = source.bounds
    return {
        "config": identity,
        "data": dict(source.fingerprint()),
        "plan": {"blocks": len(source), "rows_per_block": bounds[1] - bounds[0]},
        # Names are no part of the identity: the digests of chunks are, and old runs lack names.
        "feature_names": names_of(source),
        "versions": versions(),
        **_retention(config),
    }


def _retention(config: Config) -> dict[str, Any]:
    """Return how long the run is kept once it has finished; empty for ever."""
    if (after := config.run.retention) is None:
        return {}
    kept = config.run.retention_keep_model
    told = {"after": after, "seconds": parse_duration(after), "keep_model": kept}
    return {"retention": told}


def recorded_config(record: Mapping[str, Any], run: Location) -> Mapping[str, Any]:
    """Return the configuration in the record of `run`; CheckpointError if a section is missing."""
    config = record.get("config")
    if not isinstance(config, dict) or not all(
        isinstance(config.get(name), dict) for name in ("data", "model", "fit")
    ):
        raise CheckpointError(
            f"{run.child('run.json')} contains no configuration: it was edited or damaged. "
            "Restore it from a copy."
        )
    return config


def save_fitted(
    location: Location,
    section: ModelSection,
    fitted: Fitted,
    extra: Mapping[str, Any],
    stream: Streamed | None = None,
) -> str:
    """Store a model with all that `load_fitted` needs; return the SHA-256 of its data.

    `stream` is what the next run of a stream goes on with; see `load_stream`.
    """
    arrays, value = encode(fitted)
    meta = {
        **ABOUT,
        "value": value,
        "model": section.model_dump(),
        "versions": versions(),
        **extra,
    }
    stored = with_units(arrays, make_model(section), fitted)
    if fitted.preparation is not None:
        own, meta[_PREPARE] = encoded(fitted.preparation)
        stored |= {f"{_PREPARE}/{name}": value for name, value in own.items()}
    if stream is not None:
        own, meta[_STREAM] = encode(stream)
        stored |= {f"{_STREAM}/{name}": value for name, value in own.items()}
    return save_model(location, stored, meta)


def load_fitted(location: Location) -> tuple[ModelSection, Fitted, dict[str, Any]]:
    """Return ``(model section, result, other metadata)`` of a saved model or a finished run."""
    saved = read_model(location)
    try:
        if absent := [name for name in ("model", "value") if name not in saved.meta]:
            raise CheckpointError(f"its entry {absent[0]!r} is missing")
        section = make_section(ModelSection, saved.meta["model"], "model")
        model = make_model(section)
        fitted = decode(
            Fitted, without_units(saved.arrays), saved.meta["value"], param_types(section)
        )
        fitted = replace(fitted, preparation=_preparation(saved.arrays, saved.meta, fitted))
    except (ValueError, CheckpointError) as error:
        raise CheckpointError(
            f"This version of emdist cannot read the model at {location}: {error}. Fit again, or "
            "use the version of emdist that wrote it."
        ) from None
    check_spread(fitted.spread, str(location))
    check_params(model, fitted.params, fitted.n_features, str(location))
    return section, fitted, saved.meta


def load_stream(location: Location, section: ModelSection) -> Streamed | None:
    """Return the state of the stream that a saved model belongs to; None if it is of no stream.

    Raises
    ------
    CheckpointError
        If it is damaged.
    """
    saved = read_model(location)
    if _STREAM not in saved.meta:
        return None
    own = _of_part(saved.arrays, _STREAM)
    try:
        return decode(Streamed, own, saved.meta[_STREAM], param_types(section))
    except (ValueError, CheckpointError) as error:
        raise CheckpointError(
            f"The statistics of the stream of {location} cannot be read: {error}. Fit again."
        ) from None


def _of_part(arrays: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the arrays of one part of what is stored with a model."""
    start = f"{part}/"
    return {name.removeprefix(start): one for name, one in arrays.items() if name.startswith(start)}


def _preparation(
    arrays: Mapping[str, Any], meta: Mapping[str, Any], fitted: Fitted
) -> Preparation | None:
    """Return how rows are prepared for a stored model; None if they are not."""
    if _PREPARE not in meta:
        return None
    made = decoded(_of_part(arrays, _PREPARE), meta[_PREPARE])
    if made.n_features != fitted.n_features:
        raise CheckpointError(
            f"the steps of prepare make {made.n_features} features, and the model has "
            f"{fitted.n_features}"
        )
    return made


def _seen(location: Location, section: ModelSection, fit: FitSection, survey: Survey) -> Survey:
    """Return the survey of a run about the origin of the stream that it goes on with, if any."""
    begun = location.child(FROM)
    goes_on = fit.schedule_options.get("stream") and open_folder(begun).exists("model.json")
    if not goes_on or load_stream(begun, section) is None:
        return survey
    return survey.about(load_fitted(begun)[1].spread.origin)


def load_latest(location: Location) -> tuple[ModelSection, Fitted] | None:
    """Return ``(model section, model so far)`` of a run's unfinished fit; None if there is none.

    The model is that of the best restart so far, by its last objective.
    """
    folder = RunFolder(location)
    if not folder.folder.exists("run.json") or folder.has_result():
        return None
    config = recorded_config(folder.record(), location)
    saved, survey = folder.load("ckpt"), folder.load("survey")
    if "sweep" in config or saved is None or survey is None:
        return None
    section = make_section(ModelSection, config["model"], f"{location}: model")
    fit = make_section(FitSection, config["fit"], f"{location}: fit")
    types = Recipe(section, fit).types
    state = decode(FitState, saved.arrays, saved.meta, types)
    spread = _seen(location, section, fit, decode(Survey, survey.arrays, survey.meta)).spread
    model = make_model(section, spread)
    check_state(model, state, len(spread.origin))
    best = leading(state, model.minimises)
    prepare = folder.load(PREPARE)
    made = None if prepare is None else decoded(prepare.arrays, prepare.meta)
    found = None if best is None else result(best, spread, state.history, None, made)
    return None if found is None else (section, found)


def reading_of(
    location: Location, section: ModelSection, meta: Mapping[str, Any]
) -> ReadingSection:
    """Return how the rows of a model were read, which is the default for reading new rows.

    Parameters
    ----------
    location
        Location of the model, as given to `load_fitted`.
    section, meta
        Section and metadata of the model, as `load_fitted` returns them.

    Raises
    ------
    CheckpointError
        If the stored settings are invalid.
    """
    # Versions without `decode` used stored numbers as they were.
    found: dict[str, Any] = {"decode": "none"}
    if section.missing:
        found["non_finite"] = "missing"
    # Older models do not store it. Then use an estimator's parameters, or the record of the run.
    for stored in (meta.get("reading"), meta.get("params"), _of_run(location)):
        if isinstance(stored, dict):
            known = {name: stored[name] for name in ReadingSection.model_fields if name in stored}
            if known:
                return _checked_reading(found | known, location)
    return _checked_reading(found, location)


def _checked_reading(values: dict[str, Any], location: Location) -> ReadingSection:
    try:
        return make_section(ReadingSection, values, "reading")
    except ConfigError as error:
        raise CheckpointError(
            f"The model or run at {location} does not record how its rows were read: {error} "
            "Restore it from a copy."
        ) from None


def _of_run(location: Location) -> Any:
    """Return the section ``data`` of the run at `location`, or around ``final/``; else None."""
    places = [location]
    if location.name == "final" and location.is_local:
        places.append(Location(str(location.path.parent)))
    for place in places:
        try:
            return recorded_config(RunFolder(place).record(), place)["data"]
        except NotFoundError:
            continue
    return None
