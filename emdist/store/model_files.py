"""A fitted model as two files: model.safetensors, and model.json, which vouches for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emdist.errors import CheckpointError, NewerFormatError, NotFoundError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.files import Folder, open_folder
from emdist.store.location import Location
from emdist.store.sealed import (
    MANIFEST_LIMIT,
    Saved,
    Seal,
    document,
    pack,
    parse,
    seals,
    unpack,
    verify,
)

_DATA = "model.safetensors"
_JSON = "model.json"


def save_model(location: Location, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> str:
    """Write or replace the model in the folder `location`; the sha256 of its data.

    Raises
    ------
    StorageError
        If it could not be written; a model that was there is still there.
    """
    folder = open_folder(location)
    data = pack(arrays, meta)
    old, new = _seals(folder), Seal.of(data)
    if old:
        # Two files cannot be replaced at once: until the data is, the JSON vouches for both.
        folder.write(_JSON, _vouch([*old, new]))
    folder.write(_DATA, data)
    folder.write(_JSON, _vouch([new]))
    return new.sha256


def read_model(location: Location) -> Saved:
    """The model in a folder that `save_model` wrote, in a run folder, or in its final/.

    Raises
    ------
    NotFoundError
        If there is none; says so if `location` is a run that has not finished.
    CheckpointError
        If it is torn, damaged or of a newer format.
    """
    for place in (location, location.child("final")):
        folder = open_folder(place)
        where = place.child(_JSON)
        try:
            vouched = parse(folder.read(_JSON, MANIFEST_LIMIT), where)
        except NotFoundError:
            if folder.exists(_DATA):
                raise CheckpointError(
                    f"{place} has {_DATA} and no {_JSON}: writing it was cut off. Save it again."
                ) from None
            continue
        return _read(folder, vouched)
    if open_folder(location).exists("run.json"):
        raise NotFoundError(
            f"the run in {location} has no model yet: it has not finished. Start it again with "
            "the same run key to continue it."
        )
    raise NotFoundError(f"there is no model in {location}: neither {_JSON} nor final/{_JSON}.")


def _read(folder: Folder, vouched: Mapping[str, Any]) -> Saved:
    where = folder.location.child(_DATA)
    accepted = seals(vouched, _DATA, folder.location.child(_JSON))
    try:
        data = folder.read(_DATA, max(seal.size for seal in accepted))
    except NotFoundError:
        raise CheckpointError(f"{where} is missing, and {_JSON} beside it is not.") from None
    verify(data, accepted, where)
    arrays, meta = unpack(data, where)
    return Saved(arrays, meta, Seal.of(data).sha256)


def _seals(folder: Folder) -> list[Seal]:
    """What the model.json that is there now vouches for; empty if there is none to trust."""
    where = folder.location.child(_JSON)
    try:
        return seals(parse(folder.read(_JSON, MANIFEST_LIMIT), where), _DATA, where)
    except NewerFormatError:
        raise
    except (CheckpointError, NotFoundError):
        return []


def _vouch(accepted: list[Seal]) -> bytes:
    entries = [seal.entry() for seal in accepted]
    return document({"format": FORMAT_VERSION, "files": {_DATA: entries}})
