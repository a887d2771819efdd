"""Sealed files: arrays and JSON in one safetensors file, verified by size and sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from emdist.errors import CheckpointError, NewerFormatError
from emdist.interfaces import FORMAT_VERSION, Array
from emdist.store.chunks.bounded import memory_here
from emdist.store.places.files import Folder

#: The key of the JSON in the safetensors header, so that one digest covers arrays and JSON.
_META = "emdist"
#: The largest JSON file that is read, in bytes. Usual files have a few hundred to a few thousand.
MANIFEST_LIMIT = 1 << 24

#: How many copies of a state are in memory while it is verified and unpacked.
_COPIES = 4

#: The exceptions for damaged or hostile bytes. Deeply nested brackets exhaust the stack.
_MALFORMED = (ValueError, RecursionError)
#: The dtypes of safetensors that NumPy has. The reader of safetensors fails for the others.
_INTEGERS = {f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)}
_DTYPES = {"BOOL", "F16", "F32", "F64"} | _INTEGERS


@dataclass(frozen=True)
class Seal:
    """The size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Seal:
        """Return the seal of `data`."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    def entry(self) -> dict[str, Any]:
        """Return the seal as it is stored in a manifest."""
        return {"size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Contents:
    """Arrays and JSON that were read and verified.

    Attributes
    ----------
    sha256
        The sha256 of the file. It is equal for equal contents, so two runs can be compared by it.
    sequence, epoch
        The number and the owner of a checkpoint; 0 for a model.
    """

    arrays: dict[str, Array]
    meta: dict[str, Any]
    sha256: str
    sequence: int = 0
    epoch: int = 0


def canonical(value: Any) -> str:
    """Return JSON with one spelling per value: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def document(value: Any) -> bytes:
    """Return JSON for people to read: sorted keys, indented."""
    return (json.dumps(value, sort_keys=True, indent=2) + "\n").encode()


def parse(data: bytes, where: object) -> dict[str, Any]:
    """Return the JSON object in `data`.

    Raise CheckpointError if there is none, and NewerFormatError if its format is newer.
    """
    try:
        value = json.loads(data)
    except _MALFORMED as error:
        raise CheckpointError(
            f"{where} is not JSON, so it is incomplete or damaged ({error})."
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{where} holds a JSON value of type {type(value).__name__}, expected an object."
        )
    version = value.get("format")
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{where} has no format version, so emdist did not write it.")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{where} has format {version}, but this version of emdist reads formats up to "
            f"{FORMAT_VERSION}. Install a newer version of emdist."
        )
    return value


def pack(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> bytes:
    """Return the bytes of one safetensors file. Equal values give equal bytes.

    Raises
    ------
    TypeError
        For an array that is not bool, integer or float.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(
                f"the array {name!r} has dtype {array.dtype}; only numbers can be stored"
            )
    # safetensors writes the memory of a strided array as if it were contiguous, silently wrong.
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return bytes(save(dense, {_META: canonical(dict(meta))}))


def unpack(data: bytes, where: object) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return what `pack` was given. Raise CheckpointError for anything that it did not write."""
    try:
        meta = json.loads(_metadata(data))
        arrays = load(data)
    except (SafetensorError, *_MALFORMED) as error:
        raise CheckpointError(f"{where} is not a state file of emdist ({error}).") from None
    if not isinstance(meta, dict):
        raise CheckpointError(f"{where} is damaged: its metadata is not a JSON object.")
    return arrays, meta


def _metadata(data: bytes) -> str:
    """Return the JSON in the header of a safetensors file, and check the dtypes of its arrays."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    entries = dict(header) if isinstance(header, dict) else {}
    texts = entries.pop("__metadata__", None)
    text = texts.get(_META) if isinstance(texts, dict) else None
    if not isinstance(text, str):
        raise ValueError("its header has no metadata of emdist")
    for name, entry in entries.items():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ValueError(f"the array {name:.60} has a type that emdist does not store")
    return text


def seals(manifest: Mapping[str, Any], name: str, where: object) -> list[Seal]:
    """Return the seals that `manifest` accepts for the file `name`.

    Usually there is one. While `save_model` replaces a model, there are several.
    """
    files = manifest.get("files")
    listed = files.get(name) if isinstance(files, dict) else None
    entries = listed if isinstance(listed, list) else []
    found = [
        Seal(one["size"], one["sha256"])
        for one in entries
        if isinstance(one, dict) and type(one.get("size")) is int
        if isinstance(one.get("sha256"), str)
    ]
    if not found or len(found) < len(entries):
        raise CheckpointError(f"{where} is damaged: it has no readable size and digest of {name}.")
    if (size := max(seal.size for seal in found)) > memory_here() // _COPIES:
        raise CheckpointError(
            f"{where} says that {name} has {size} bytes. Reading it takes {_COPIES} times as much "
            "memory, which this process does not have. Give the process more memory. If the file "
            f"cannot be so large, {where} is damaged."
        )
    return found


def read_document(folder: Folder, name: str) -> dict[str, Any]:
    """Return the JSON object in the file `name`.

    Raise NotFoundError, or CheckpointError as `parse`.
    """
    return parse(folder.read(name, MANIFEST_LIMIT), folder.location.child(name))


def read_sealed(folder: Folder, name: str, accepted: list[Seal], where: object) -> Contents:
    """Return what `pack` stored in the file `name`, if the file has one of the `accepted` seals.

    Raises
    ------
    NotFoundError
        If there is no such file.
    CheckpointError
        If the file is another one or damaged. The message names it by `where`.
    """
    data = folder.read(name, max(seal.size for seal in accepted))
    seal = Seal.of(data)
    if seal not in accepted:
        wanted = accepted[-1]
        what = (
            f"{seal.size} bytes, expected {wanted.size}"
            if seal.size != wanted.size
            else f"sha256 {seal.sha256[:12]}..., expected {wanted.sha256[:12]}..."
        )
        raise CheckpointError(f"{where} is incomplete or damaged: it has {what}.")
    return Contents(*unpack(data, where), seal.sha256)
