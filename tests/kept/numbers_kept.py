"""What a fitted estimator and labels say, as arrays by name, and their digests."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

Arrays = dict[str, Any]


def numbers_of(model: Any) -> Arrays:
    """All numbers among the public fitted attributes of an estimator, by attribute."""
    found: Arrays = {}
    for name in dir(model):
        if name.endswith("_") and not name.startswith("_"):
            try:
                value = getattr(model, name)
            except AttributeError:
                continue  # not of this fit
            found.update(_numbers(value, name))
    return found


def _numbers(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _numbers(value[key], f"{name}.{key}")
    elif isinstance(value, str | bytes) or value is None or callable(value):
        return
    elif isinstance(value, Sequence) and value and dataclasses.is_dataclass(value[0]):
        # The history: a column for each field, which later versions may have more of.
        for field in dataclasses.fields(value[0]):
            yield from _numbers([getattr(one, field.name) for one in value], f"{name}.{field.name}")
    elif isinstance(value, Sequence) and any(isinstance(one, Mapping) for one in value):
        for i, one in enumerate(value):
            yield from _numbers(one, f"{name}.{i}")
    else:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            yield name, array


def labels_of(group: Path) -> Arrays:
    """What was written for every row, by output."""
    found = zarr.open_group(group, mode="r")
    wanted = ("labels", "score", "responsibilities")
    return {name: np.asarray(found[name][:]) for name in wanted if name in found}


def digest(array: Any) -> str:
    """sha256 of an array's shape, type and bytes."""
    told = hashlib.sha256(f"{array.shape} {array.dtype.str} ".encode())
    told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()


def mark() -> str:
    """Of the instructions of this CPU: two CPUs of one name may have other ones."""
    from llvmlite.binding import get_host_cpu_features
    from threadpoolctl import threadpool_info

    features = sorted(name for name, there in get_host_cpu_features().items() if there)
    blas = sorted({str(pool.get("architecture")) for pool in threadpool_info()} - {"None"})
    return hashlib.sha256(" ".join([*features, *blas]).encode()).hexdigest()[:8]


def loaded(path: Path) -> Arrays:
    """`numbers_of` what is stored at `path`; none where there is no estimator of it."""
    import emdist

    try:
        return numbers_of(emdist.load(path))
    except ValueError as error:  # the base of errors about settings
        if "There is no estimator" not in str(error):
            raise
        return {}


def predicted(path: Path, x: Any) -> Any:
    """Labels that the model stored at `path` gives to rows."""
    import emdist

    return np.asarray(emdist.load(path).predict(x))


def save(path: Path, arrays: Arrays) -> None:
    """As one .npz."""
    np.savez(path, **arrays)
