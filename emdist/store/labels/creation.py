"""Groups of labels: creates them, resumes them, or adds outputs, where `labels.place` allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr

from emdist.errors import ConfigError
from emdist.store.chunks.writing import packers
from emdist.store.chunks.zarr_thread import apart
from emdist.store.grids.boxes import Boxes
from emdist.store.labels.digest import DIGEST
from emdist.store.labels.layout import arrays_wanted, chunk_rows
from emdist.store.labels.place import (
    MARK,
    OUTPUTS,
    Wanted,
    check_place,
    label_mark,
    outputs_there,
    put_mark,
    remove,
    storing,
    telling,
)
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.runs.run_record import digest


@apart
def label_writer(
    location: Location,
    outputs: tuple[str, ...],
    bounds: Sequence[int],
    n_components: int,
    identity: Mapping[str, Any],
    overwrite: bool = False,
    noise: bool = False,
    stamps: Mapping[str, str] | None = None,
    policies: Mapping[str, str] | None = None,
) -> LabelWriter:
    """Create the arrays at `location`, or resume those of the same labelling.

    Existing outputs that are not requested stay and are written too. Requested outputs that do not
    exist are added. So the writer may have more `outputs` than requested.

    Parameters
    ----------
    location
        The location of the group, which is created if nothing is there.
    outputs
        The requested outputs, names from `OUTPUTS`.
    bounds
        The block plan of the source. All blocks but the last must be equally long.
    n_components
        The number of components of the model.
    identity
        JSON that says which model labels which data. Existing labels with another identity are
        refused.
    overwrite
        Whether labels that emdist wrote there may be replaced.
    noise
        Whether the last component is noise. Its label is then -1, and rows that a policy leaves out
        have label -2.
    stamps
        The stamps of the data's files, if nobody else checks them. Labels of files with other
        stamps are computed anew.
    policies
        The policies by which rows are left out or filled in, if `identity` does not contain them.

    Raises
    ------
    OutputExistsError
        If something else is there.
    RunMismatchError
        If labels of another model, of other data, by other policies or in other blocks are there.
    """
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown or not outputs:
        what = f"unknown label outputs {unknown}" if unknown else "no label output is given"
        raise ConfigError(f"{what}; choose from {', '.join(OUTPUTS)}.")
    if isinstance(bounds, Boxes):
        raise ConfigError("Labels of data on a grid cannot be stored yet.")
    # Refuses blocks that it cannot divide into chunks, before anything is changed.
    chunk_rows(bounds)
    writer = LabelWriter(location, outputs, bounds, n_components, noise, digest(dict(identity)))
    policies = dict(policies or {})
    found = check_place(location, Wanted(identity, outputs, overwrite, writer.layout, policies))
    action = "create the labels in"
    if found not in ("continue", "add"):
        with storing(action, location):
            if found == "replace":
                remove(location)
            _create(writer, identity, stamps or {}, policies)
    with telling(action, location):
        if found in ("continue", "add"):
            writer = _continued(writer, stamps or {}, policies)
        writer._arrays()  # Opened here once, rather than by each of the threads that start.
    return writer


def _continued(
    writer: LabelWriter, stamps: Mapping[str, str], policies: Mapping[str, str]
) -> LabelWriter:
    """Return `writer` with the existing outputs as well, and create the arrays that are missing.

    Existing values stay until they are written again. If a block gets more outputs than it had, its
    digest changes, and it is labelled again.
    """
    location = writer.location
    mark = label_mark(location) or {}
    there = outputs_there(location, mark)
    added = tuple(name for name in writer.outputs if name not in there)
    writer = replace(writer, outputs=(*there, *added))
    renewed = mark.get("stamps", {}) != dict(stamps)
    news: dict[str, Any] = {
        "outputs": list(writer.outputs),
        "stamps": dict(stamps),
        "policies": dict(policies),
        "created": True,  # Earlier versions did not store this.
    }
    if all(mark.get(name, {}) == value for name, value in news.items()):
        return writer
    whole = bool("created" in mark and mark.get("complete") and not added and not renewed)
    group = zarr.open_group(open_zarr_store(location, read_only=False), mode="r+")
    # These are labels of other files, so no block of them counts as done.
    _create_arrays(writer, group, (*added, *(["progress"] if renewed else [])))
    put_mark(location, news | {"complete": whole})
    return writer


def _create(
    writer: LabelWriter,
    identity: Mapping[str, Any],
    stamps: Mapping[str, str],
    policies: Mapping[str, str],
) -> None:
    """Create the group and its arrays. Its mark says "created" only after all arrays exist."""
    store = open_zarr_store(writer.location, read_only=False)
    mark: dict[str, Any] = {
        "identity": dict(identity),
        "outputs": list(writer.outputs),
        "layout": list(writer.layout),
        "digest": DIGEST,
        "stamps": dict(stamps),
        "policies": dict(policies),
        "complete": False,
    }
    if writer.noise:
        mark["left_out"], mark["noise"] = writer.masked, -1
    group = zarr.create_group(store, attributes={MARK: mark | {"created": False}})
    _create_arrays(writer, group, (*writer.outputs, "progress"))
    group.attrs[MARK] = mark | {"created": True}


def _create_arrays(writer: LabelWriter, group: zarr.Group, names: tuple[str, ...]) -> None:
    """Create the arrays called `names`, empty."""
    wanted = arrays_wanted(writer.outputs, *writer.layout, fill=writer.masked)
    for name in names:
        shape, chunks, dtype, fill, dims = wanted[name]
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=fill,
            compressors=packers(dtype, chunks),
            dimension_names=dims,
            overwrite=True,
        )
