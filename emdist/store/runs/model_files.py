"""Files of a fitted model: model.safetensors holds it, and model.json holds its checksum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.errors import (
    CheckpointError,
    ConfigError,
    NewerFormatError,
    NotFoundError,
    StorageError,
)
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.places.files import Folder, no_folder, open_folder
from emdist.store.places.location import Location
from emdist.store.runs.run_record import RESULT, former
from emdist.store.runs.sealed import (
    Contents,
    Seal,
    document,
    pack,
    read_document,
    read_sealed,
    seals,
)

_DATA = "model.safetensors"
_JSON = "model.json"
#: The folder of the model that a run started from, within the folder of the run.
FROM = "from"
#: The largest number of folders from a model up to its run: models/<name>.
_DEPTH = 2


def save_model(location: Location, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> str:
    """Write or replace the model in the folder `location`. Return the sha256 of its data.

    Raises
    ------
    StorageError
        If it could not be written. A model that was there is still there.
    """
    folder = open_folder(location)
    data = pack(arrays, meta)
    old, new = _seals(folder), Seal.of(data)
    if old:
        # Two files cannot be replaced at once. Until the data is replaced, the JSON accepts both
        # versions.
        folder.write(_JSON, _vouch([*old, new]))
    folder.write(_DATA, data)
    folder.write(_JSON, _vouch([new]))
    return new.sha256


def copy_model(location: Location, target: Location) -> None:
    """Copy the model that `read_model` reads at `location` to `target`, unless it is there."""
    places = (location, location.child("final"))
    source = next(one for one in map(open_folder, places) if one.exists(_JSON))
    copy = open_folder(target)
    data, vouched = source.read(_DATA), source.read(_JSON)
    if copy.exists(_JSON) and copy.exists(_DATA) and copy.read(_DATA) == data:
        return
    copy.write(_DATA, data)
    copy.write(_JSON, vouched)


def check_free(location: Location) -> None:
    """Check that a model can be saved at `location`: a new or empty folder, or another saved model.

    Raises
    ------
    ConfigError
        If `location` is the folder of a run or is inside one, because the model would be taken for
        the run's own. Also if it holds other files.
    """
    remedy = "Choose a new or empty folder, or a saved model to replace."
    if location.is_local and location.path.exists() and not location.path.is_dir():
        raise ConfigError(f"{location} is a file, but a model is saved as a folder. {remedy}")
    place = location
    for depth in range(_DEPTH + 1):
        if _is_run(place, depth):
            what = "is" if depth == 0 else f"is in {place}, which is"
            raise ConfigError(
                f"{location} {what} the folder of a run (it holds run.json). A model saved there "
                f"could be mistaken for the result of the run. {remedy}"
            )
        place = place.parent
    folder = open_folder(location)
    if not (folder.is_empty() or folder.exists(_JSON) or folder.exists(_DATA)):
        raise ConfigError(f"{location} holds files that are not a saved model. {remedy}")


def _is_run(place: Location, depth: int) -> bool:
    """Return whether `place` is the folder of a run."""
    try:
        return open_folder(place).exists("run.json")
    except StorageError:
        if depth == 0:
            raise
        return False  # The folders around it need not be readable.


def read_model(location: Location) -> Contents:
    """Return the model in a folder that `save_model` wrote, in a run folder, or in its final/.

    Raises
    ------
    NotFoundError
        If there is none. The message says so if `location` is a run that has not finished.
    CheckpointError
        If it is cut off, damaged or of a newer format.
    """
    if location.is_local and location.path.is_file():
        raise NotFoundError(
            f"{location} is a file, but a model is a folder. Give the folder of a finished run, "
            "or one that `save` wrote."
        )
    for place in (location, location.child("final")):
        folder = open_folder(place)
        try:
            vouched = read_document(folder, _JSON)
        except NotFoundError:
            if folder.exists(_DATA):
                raise CheckpointError(
                    f"{place} has {_DATA} but no {_JSON}, because saving it was interrupted. Save "
                    "the model again."
                ) from None
            continue
        return _read(folder, vouched)
    if open_folder(location).exists("run.json"):
        raise NotFoundError(
            f"the run in {location} has not finished, so it has no model yet. Start the same run "
            "again to continue it."
        )
    raise NotFoundError(
        no_folder(location)
        or f"There is no model in {location}: it has neither {_JSON} nor final/{_JSON}. Give the "
        "folder of a finished run, or one that `save` wrote."
    )


def _read(folder: Folder, vouched: Mapping[str, Any]) -> Contents:
    """Return the model in `folder`, verified against the contents of its model.json."""
    where = folder.location.child(_DATA)
    accepted = seals(vouched, _DATA, folder.location.child(_JSON))
    try:
        found = read_sealed(folder, _DATA, accepted, where)
    except NotFoundError:
        raise CheckpointError(
            f"{where} is missing, but {_JSON} beside it exists. Restore the file from a copy, or "
            "save the model again."
        ) from None
    _check_run(folder.location, found.sha256)
    return found


def _check_run(location: Location, sha256: str) -> None:
    """Raise CheckpointError if `location` is in a run whose record names another model there.

    The records of earlier versions name none.
    """
    name, place = "", location
    for _ in range(_DEPTH):
        name, place = f"{place.name}/{name}".rstrip("/"), place.parent
        try:
            run = read_document(open_folder(place), "run.json")
        except NewerFormatError:
            raise
        except (NotFoundError, CheckpointError, StorageError):
            continue
        config = run.get("config")
        if name == FROM and isinstance(config, dict) and config.get("from_sha256") == sha256:
            return
        vouched = run.get(RESULT)
        if isinstance(vouched, dict) and vouched.get(name) == sha256:
            return
        if vouched is None and not former(run):
            return
        raise CheckpointError(
            f"{location} holds a model that is not the result of the run in {place}. Either it was "
            "copied there from another run, or the run was extended and has not finished. Start "
            "the run again to get its own model. To use this model, copy it out of the run."
        )


def _seals(folder: Folder) -> list[Seal]:
    """Return the seals in the present model.json, or an empty list if none can be trusted."""
    try:
        return seals(read_document(folder, _JSON), _DATA, folder.location.child(_JSON))
    except NewerFormatError:
        raise
    except (CheckpointError, NotFoundError):
        return []


def _vouch(accepted: list[Seal]) -> bytes:
    """Return the contents of a model.json that accepts data with any of these seals."""
    entries = [seal.entry() for seal in accepted]
    return document({"format": FORMAT_VERSION, "files": {_DATA: entries}})
