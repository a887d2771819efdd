"""`RunInfo`: what is known of one run from its listing and a few small files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from emdist.errors import CheckpointError, EmdistError, NotFoundError, StorageError
from emdist.jobs.finished import SUMMARY, identity_of, stored_summary
from emdist.jobs.records import recorded_config
from emdist.store.labels.place import label_mark
from emdist.store.places.entries import Entry, when
from emdist.store.places.files import Folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs.checkpoints import Series
from emdist.store.runs.liveness import is_at_work
from emdist.store.runs.owners import newest_of, read_owner
from emdist.store.runs.run_folder import OWN, TOMBSTONE, RunFolder
from emdist.store.runs.run_record import digest

#: The states of a run, and what each one means.
STATES: Mapping[str, str] = {
    "running": "a process of this machine works on it",
    "unclear": "a process of another machine works on it, or ended without noting that",
    "interrupted": "its process ended before the run was complete",
    "failed": "its process ended with an error",
    "collapsed": "a component collapsed, and fit.on_collapse is raise",
    "finished": "complete",
    "max_iter": "complete, but stopped by fit.max_iter before it converged",
    "deleting": "its deletion has begun and was not completed",
    "damaged": "its files are not those of a run that emdist can read",
    "unreadable": "the file system or the store refuses to read it",
}
#: The states in which a run has a result.
COMPLETE = ("finished", "max_iter")
#: The kinds of things that are listed.
RUN, SWEEP, LABELS = "run", "sweep", "labels"
#: Names in the folder of a sweep besides those of every run.
OF_SWEEPS = ("models", "criterion.png")


@dataclass(frozen=True)
class RunInfo:
    """One run, sweep or label store.

    Attributes
    ----------
    key, path
        Its name in the folder of runs, and its path or URL.
    kind, state, why
        What it is, how it stands (one of `STATES`), and a reason for that, or "".
    model, k, data
        What is fitted, its number of components (of a sweep, their list), and to which data.
    iterations, objective, rows
        How far it is; the final objective, or that of the last checkpoint; rows of the data.
    started, ended, active
        Times in UTC: when it began, when it ended, and when a file of it was last written.
    bytes
        Bytes of all files below its folder.
    has_model
        Whether it has a finished model.
    labels
        Where its labels are, or None.
    owner
        Host, number and time of the process that claimed it last; empty if there was none.
    link
        What its folder is a symbolic link to, or "".
    keep
        How long it is kept after it finished, by its configuration; empty for always.
    """

    key: str
    path: str
    kind: str = RUN
    state: str = "damaged"
    why: str = ""
    model: str = ""
    k: Any = None
    data: str = ""
    iterations: int | None = None
    objective: float | None = None
    rows: int | None = None
    started: str | None = None
    ended: str | None = None
    active: str | None = None
    bytes: int = 0
    has_model: bool = False
    labels: str | None = None
    owner: Mapping[str, Any] | None = None
    link: str = ""
    keep: Mapping[str, Any] | None = None

    @property
    def at_work(self) -> bool:
        """Whether a process works on it, or may do so."""
        return self.state in ("running", "unclear")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def described(location: Location, entries: Sequence[Entry], link: str = "") -> RunInfo | None:
    """Return what is known of the folder at `location`, or None if it is nothing of emdist's.

    Parameters
    ----------
    location
        The folder.
    entries
        All files below it. Of a run, only the record, the summary, the newest owner and the
        manifest of the newest checkpoint are read.
    link
        What the folder is a symbolic link to, or "".
    """
    names = {entry.name for entry in entries}
    info = RunInfo(
        location.name,
        str(location),
        active=when(max((one.modified for one in entries), default=0.0)),
        bytes=sum(one.size for one in entries),
        has_model="final/model.json" in names,
        link=link,
    )
    if not names & {"run.json", TOMBSTONE}:
        return _without_record(location, info, names)
    try:
        return _run(location, info, entries, names)
    except CheckpointError as error:
        return replace(info, why=str(error))
    except NotFoundError:  # Another process deleted it meanwhile.
        return replace(info, state="deleting", why="files vanished while it was looked at")
    except EmdistError as error:
        state = "unreadable" if isinstance(error, StorageError) else "damaged"
        return replace(info, state=state, why=str(error))


def unreadable(location: Location, error: Exception, link: str = "") -> RunInfo:
    """Return what is known of a folder that cannot be listed."""
    return RunInfo(location.name, str(location), state="unreadable", why=str(error), link=link)


def _without_record(location: Location, info: RunInfo, names: Iterable[str]) -> RunInfo | None:
    """Return a label store, or a run without its record; None for anything else."""
    names = set(names)
    if "zarr.json" in names:
        try:
            mark = label_mark(location)
        except EmdistError as error:
            return replace(info, kind=LABELS, state="unreadable", why=str(error))
        if mark is None:
            return None
        outputs = mark.get("outputs")
        state = "finished" if mark.get("complete") else "interrupted"
        listed = ", ".join(map(str, outputs)) if isinstance(outputs, list) else ""
        return replace(info, kind=LABELS, state=state, model=listed, ended=info.active)
    if any(name.startswith(("ckpt/", "owners/")) for name in names):
        return replace(info, why="It has no run.json, so it is not known what was fitted.")
    return None


def _run(location: Location, info: RunInfo, entries: Sequence[Entry], names: set[str]) -> RunInfo:
    """Return what the files of a run say."""
    folder = open_folder(location)
    record = RunFolder(location).record() if "run.json" in names else {}
    info = replace(info, **_what(record, location)) if record else info
    if TOMBSTONE in names:
        why = "Finish it: emdist runs rm, with its path."
        return replace(info, state="deleting", why=why)
    if record.get("config_digest") != digest(record.get("config")):
        why = f"{location.child('run.json')} was edited or damaged: its digest differs."
        return replace(info, why=why)
    owner = _owner(folder, names)
    info = replace(info, owner={key: owner[key] for key in _OF_OWNERS if key in owner})
    written = next((one.modified for one in entries if one.name == SUMMARY), None)
    if written is not None and _since(owner) < int(written):
        # Whoever claimed the run before its summary was written has completed it, even if it is of
        # an earlier version, which did not note its end. Owners note full seconds.
        owner = {**owner, "ended": when(written)}
    times, epoch = {one.name: one.modified for one in entries}, newest_of(names)
    working = is_at_work(owner, epoch, times, time.time()) if owner else False
    summary = stored_summary(location, identity_of(record)) if written is not None else None
    if summary is not None:
        info = replace(info, **_result(summary), ended=when(written or 0.0))
        own = str(location.child("labels.zarr"))
        if info.labels == own and "labels.zarr/zarr.json" not in names:
            info = replace(info, labels=None)  # They were deleted.
    else:
        progress = Series(folder, "ckpt").progress_in(names)
        info = replace(info, **_progress(progress))
    if working is not False:
        host = owner.get("host", "another machine")
        why = f"process {owner.get('pid', '?')} on {host}, since {owner.get('time', '?')}"
        return replace(info, state="running" if working else "unclear", why=why, ended=None)
    if summary is not None:
        status = info.state if info.state in COMPLETE else "finished"
        return replace(info, state=status)
    return replace(info, **_ended(owner, info))


_OF_OWNERS = ("host", "pid", "time", "ended", "error")


def _owner(folder: Folder, names: Iterable[str]) -> dict[str, Any]:
    """Return what the newest owner stored; empty if there was none or it is unreadable."""
    epoch = newest_of(names)
    if epoch == 0:
        return {}
    try:
        return read_owner(folder, epoch)
    except CheckpointError:
        return {"host": "unknown"}  # Somebody claims the run, and is not known.


def _since(owner: Mapping[str, Any]) -> float:
    """Return when an owner claimed the run, in seconds since 1970."""
    try:
        return datetime.fromisoformat(str(owner.get("time"))).timestamp()
    except ValueError:
        return 0.0


def _what(record: Mapping[str, Any], location: Location) -> dict[str, Any]:
    """Return what is fitted and to which data, by the record of a run."""
    config = recorded_config(record, location)
    sweep, model = config.get("sweep"), config["model"]
    found: dict[str, Any] = {
        "kind": SWEEP if isinstance(sweep, dict) else RUN,
        "model": str(model.get("name", "")),
        "k": model.get("n_components"),
        "data": str(config["data"].get("path", "")),
        "started": record.get("created") if isinstance(record.get("created"), str) else None,
    }
    if isinstance(sweep, dict):
        found["model"] = ", ".join(map(str, sweep.get("families") or [found["model"]]))
        found["k"] = sweep.get("n_components")
    data = record.get("data")
    shape = data.get("shape") if isinstance(data, dict) else None
    if isinstance(shape, list) and len(shape) == 2 and type(shape[0]) is int:
        found["rows"] = shape[0]
    keep = record.get("retention")
    if isinstance(keep, dict):
        found["keep"] = keep
    return found


def _result(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a run ended, by its summary."""
    data = summary.get("data")
    found: dict[str, Any] = {"state": "finished", "labels": summary.get("labels")}
    if isinstance(data, dict) and type(data.get("rows")) is int:
        found["rows"] = data["rows"]
    result = summary.get("result")
    if isinstance(result, dict):
        found["iterations"] = result.get("iterations")
        found["objective"] = result.get("final", result.get("objective"))
        if result.get("status") == "max_iter":
            found["state"] = "max_iter"
    models = summary.get("models")
    if isinstance(models, list):
        rows = [one for one in models if isinstance(one, dict)]
        counts = [one["iterations"] for one in rows if type(one.get("iterations")) is int]
        found["iterations"] = sum(counts)
        best = next((one for one in rows if one.get("name") == summary.get("best")), {})
        found["objective"] = best.get("score")
        found["why"] = f"best: {summary.get('best')}"
    return found


def _progress(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far a run is, by what its newest checkpoint says."""
    iterations, objective = told.get("iterations"), told.get("objective")
    return {
        "iterations": iterations if type(iterations) is int else None,
        "objective": objective if isinstance(objective, float) else None,
    }


def _ended(owner: Mapping[str, Any], info: RunInfo) -> dict[str, Any]:
    """Return how a run ended that is not complete."""
    error = str(owner.get("error", ""))
    ended = owner.get("ended") or info.active
    if not error:
        return {"state": "interrupted", "ended": ended}
    state = "collapsed" if error.startswith("CollapseError") else "failed"
    return {"state": state, "why": error, "ended": ended}


def parts_of(entries: Iterable[Entry]) -> dict[str, int]:
    """Return the bytes of each file and folder directly in a run's folder, the largest first."""
    found: dict[str, int] = {}
    for entry in entries:
        top = entry.name.partition("/")[0]
        found[top] = found.get(top, 0) + entry.size
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def is_own(name: str) -> bool:
    """Return whether emdist gives this name to a file or folder directly in a run's folder."""
    return name in (*OWN, *OF_SWEEPS, TOMBSTONE)
