"""Repeat a finished run from its record alone, and compare the results bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.composition.make import in_sequence, make_source
from emdist.errors import CheckpointError, ConfigError, NotFoundError
from emdist.fit.events import Listener, unheard
from emdist.jobs.job import Job
from emdist.jobs.label_target import labels_location
from emdist.jobs.records import load_fitted, recorded_config
from emdist.jobs.row_ranges import ROWS
from emdist.jobs.run import open_job
from emdist.settings.config import Config, make_config
from emdist.store.labels.place import MARK
from emdist.store.places.files import no_folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import FROM, read_model
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import differences, digest

#: Sections that decide the result. A repetition takes them from the run.
_FIXED = ("data", "model", "fit")


def repetition(run: Location, given: Mapping[str, Any]) -> Config:
    """Make the configuration that repeats `run` in a folder beside it, changed by `given`.

    Raises
    ------
    ConfigError
        If `given` would change the result, or `run` is a sweep.
    NotFoundError, CheckpointError
        If there is no run, or its record is damaged.
    """
    try:
        record = RunFolder(run).record()
    except NotFoundError:
        raise NotFoundError(
            no_folder(run)
            or f"There is no run in {run}: it has no run.json. Give the folder of a finished run, "
            "such as runs/NAME."
        ) from None
    config = recorded_config(record, run)
    if "sweep" in config:
        raise ConfigError(
            f"{run} is a sweep, but --repeat can only repeat a fit. Start the same `emdist sweep` "
            "with another --run, and compare models/ of both runs with `emdist inspect`."
        )
    for name in _FIXED:
        more = set(given.get(name) or {}) - {"storage_options"}
        if more:
            raise ConfigError(
                f"--repeat takes the section {name!r} from the run, but you also set "
                f"{name}.{min(more)}. Leave it out, or fit without --repeat."
            )
    if given.get("prepare"):
        raise ConfigError(
            "--repeat takes the steps of prepare from the run, but you also set them. Leave them "
            "out, or fit without --repeat."
        )
    values: dict[str, Any] = {name: dict(config[name]) for name in _FIXED}
    if ROWS in record:
        values["data"]["select_rows"] = record[ROWS]
    if "from_sha256" in config:
        values["fit"]["from"] = str(run.child(FROM))
    if "prepare" in config:
        values["prepare"] = config["prepare"]
    for name, section in given.items():
        if name == "prepare":
            continue
        values[name] = {**values.get(name, {}), **(section or {})}
    parent, _, name = run.url.rstrip("/").rpartition("/")
    values["run"] = {"folder": parent or ".", "key": f"{name}-repeated", **values.get("run", {})}
    return make_config(values, f"the record of {run}")


def repeat(run: Location, config: Config, listen: Listener = unheard) -> dict[str, Any]:
    """Fit and label by `config`, a `repetition` of `run`, then compare both runs.

    Returns
    -------
    dict
        JSON values: ``run`` and ``repeated`` (folders), ``same_bits``, ``same_model``,
        ``same_labels`` (of the outputs that both runs wrote; None if there are none),
        ``objective`` of both, and ``differs``: one line for each difference in configuration,
        data, block plan, versions or CPU.
    """
    wanted = read_model(run).sha256
    before = RunFolder(run).record()
    with open_job(config, listen=listen) as job:
        if isinstance(job, Job):
            job.complete()
    new = Location(config.run.folder, config.run.storage_options).child(str(config.run.key))
    after = RunFolder(new).record()
    labels = _labels(run.child("labels.zarr")), _labels(labels_location(config, new))
    same_labels = _same(*labels)
    same_model = read_model(new).sha256 == wanted
    return {
        "run": str(run),
        "repeated": str(new),
        "same_bits": same_model and same_labels is not False,
        "same_model": same_model,
        "same_labels": same_labels,
        "objective": [load_fitted(place)[1].objective for place in (run, new)],
        "differs": [
            line
            for name in ("config", "data", "plan", "versions")
            for line in differences(before.get(name), after.get(name), name)
        ],
    }


def changes(run: Location, config: Config) -> list[str]:
    """Return how the data differ from those that `run` was fitted to, before computing."""
    try:
        recorded = RunFolder(run).record()["data"]
    except KeyError:
        raise CheckpointError(
            f"The record of {run} does not say to which data it was fitted. Restore run.json from "
            "a copy."
        ) from None
    source = in_sequence(make_source(config.data), config.data, config.model)
    return differences(recorded, dict(source.fingerprint()), "data")


def _labels(location: Location) -> dict[str, str]:
    """Return the digest of every chunk of labels and scores; empty if there are no labels."""
    folder = open_folder(location)
    chunks = [
        name
        for name in folder.list()
        if "/c" in name
        and not name.startswith(("progress/", f"{MARK}/"))
        and not name.endswith((".partial", ".json"))
    ]
    return {name: digest(folder.read(name).hex()) for name in chunks}


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool | None:
    """Return whether the outputs that both labels have are the same; None if they share none."""
    both = {name.partition("/")[0] for name in one} & {name.partition("/")[0] for name in other}
    if not both:
        return None
    kept = [
        {name: value for name, value in found.items() if name.partition("/")[0] in both}
        for found in (one, other)
    ]
    return kept[0] == kept[1]
