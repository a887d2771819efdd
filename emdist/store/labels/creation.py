"""Groups of labels: creates them, resumes them, or adds outputs, where `labels.place` allows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr

from emdist.errors import CheckpointError, ConfigError, NotFoundError, OutputExistsError
from emdist.inputs.plugins import nearest
from emdist.store.chunks.writing import packers
from emdist.store.chunks.zarr_thread import apart
from emdist.store.grids.coordinates import NOTHING, Coordinates
from emdist.store.labels.array_plans import COMPONENT, StoredOutputs, chosen_columns
from emdist.store.labels.companions import check_names, companions, put_companions
from emdist.store.labels.consolidated import consolidate
from emdist.store.labels.digest import DIGEST
from emdist.store.labels.layouts import layout_of_plan
from emdist.store.labels.outputs import OUTPUTS
from emdist.store.labels.place import (
    MARK,
    Wanted,
    check_place,
    companions_in,
    components_in,
    earlier_keys,
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
    components: Sequence[int] | None = None,
    coordinates: Coordinates = NOTHING,
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
        The block plan of the source. All blocks but the last must be equally long, unless they are
        boxes of a grid.
    n_components
        The number of columns of the responsibilities.
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
    components
        The components that outputs of chosen components have, -1 for noise; None for all.
    coordinates
        What describes the grid, which is copied to the group, with its digest. Coordinates that
        differ from those of existing labels replace them.

    Raises
    ------
    OutputExistsError
        If something else is there.
    RunMismatchError
        If labels of another model, of other data, by other policies or in other blocks are there.
    ConfigError
        If an output or a component does not exist.
    """
    check_outputs(outputs, components)
    try:
        chosen = chosen_columns(components, n_components, noise)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    # Refuses blocks that it cannot divide into chunks, before anything is changed.
    contents = StoredOutputs(tuple(outputs), layout_of_plan(bounds), n_components, noise, chosen)
    check_names(contents, coordinates)
    wanted = Wanted(
        identity, contents.outputs, overwrite, contents.layout, n_components,
        None if components is None else tuple(components), dict(policies or {}),
    )  # fmt: skip
    found = check_place(location, wanted)
    writer = LabelWriter(location, contents, digest(dict(identity)))
    action = "create the labels in"
    if found in ("continue", "add"):
        with telling(action, location):
            writer = replace(writer, earlier=earlier_keys(label_mark(location) or {}, location))
            writer = _continued(writer, wanted, stamps or {}, coordinates)
            writer._arrays()  # Opened here once, rather than by each of the threads that start.
        return writer
    try:
        with storing(action, location):
            if found == "replace":
                remove(location)
            _create(writer, wanted, stamps or {}, coordinates)
        with telling(action, location):
            writer._arrays()
    except (CheckpointError, NotFoundError) as error:  # They were written a moment ago.
        raise OutputExistsError(
            f"The labels at {location} changed while emdist created them, so another process seems "
            "to create labels there, too. Wait until it has ended, then start the same labelling "
            "again."
        ) from error
    return writer


def check_outputs(outputs: Sequence[str], components: Sequence[int] | None) -> None:
    """Raise ConfigError unless `outputs` exist and `components` suit them."""
    if not outputs:
        raise ConfigError(f"no label output is given; choose from {', '.join(OUTPUTS)}.")
    for name in outputs:
        if name not in OUTPUTS:
            raise ConfigError(
                f"unknown label output {name!r}{nearest(name, OUTPUTS)}; choose from "
                f"{', '.join(OUTPUTS)}."
            )
    if components is None:
        return
    of_chosen = [name for name, one in OUTPUTS.items() if one.chosen]
    if not any(name in of_chosen for name in outputs):
        raise ConfigError(
            f"components are chosen, but no output has chosen components. Add the output "
            f"{', '.join(of_chosen)}, or choose no components."
        )
    if all_of := [name for name in outputs if OUTPUTS[name].components and name not in of_chosen]:
        raise ConfigError(
            f"The output {', '.join(all_of)} has all components, so {', '.join(of_chosen)} cannot "
            "have some of them beside it. Leave one of the two outputs out."
        )


def _continued(
    writer: LabelWriter, wanted: Wanted, stamps: Mapping[str, str], coordinates: Coordinates
) -> LabelWriter:
    """Return `writer` with the existing outputs as well, and create the arrays that are missing.

    Existing values stay until they are written again. If a block gets more outputs than it had, its
    digest changes, and it is labelled again.
    """
    location, contents = writer.location, writer.contents
    mark = label_mark(location) or {}
    there = outputs_there(location, mark)
    added = tuple(name for name in contents.outputs if name not in there)
    components = wanted.components
    if any(OUTPUTS[name].chosen for name in there):
        components = components_in(mark)
        chosen = chosen_columns(components, contents.n_columns, contents.noise)
        contents = replace(contents, chosen=chosen)
    contents = replace(contents, outputs=(*there, *added))
    check_names(contents, coordinates)
    writer = replace(writer, contents=contents)
    renewed = mark.get("stamps", {}) != dict(stamps)
    news = {
        **_described(contents, components),
        "stamps": dict(stamps),
        "policies": dict(wanted.policies),
    }
    news["created"] = True  # Earlier versions did not store this.
    beside = {*companions_in(mark), *companions(contents, coordinates)}
    moved = contents.on_grid and mark.get("coordinates") != coordinates.digest
    if moved:
        beside = {*companions(contents, coordinates)}
        news["coordinates"] = coordinates.digest
    if beside or moved:
        news["companions"] = sorted(beside)
    if all(mark.get(name, {}) == value for name, value in news.items()):
        return writer
    whole = bool("created" in mark and mark.get("complete") and not added and not renewed)
    group = zarr.open_group(open_zarr_store(location, read_only=False), mode="r+")
    # These are labels of other files, so no block of them counts as done.
    remade = [contents.layout.progress] if renewed else []
    _create_arrays(contents, group, (*added, *remade), coordinates)
    if moved:
        _described_anew(contents, group, coordinates, {*companions_in(mark)} - beside)
    elif added:
        put_companions(contents, group, coordinates, only=(COMPONENT,))
    consolidate(location, (*contents.arrays(), *sorted(beside)))
    put_mark(location, news | {"complete": whole})  # Last, so that a kill repeats all of it.
    return writer


def _described_anew(
    contents: StoredOutputs, group: zarr.Group, coordinates: Coordinates, gone: Iterable[str]
) -> None:
    """Replace the coordinates of labels by those that the data have now."""
    for name in gone:
        if name in group:
            del group[name]
    put_companions(contents, group, coordinates)
    for name in contents.outputs:
        array = group[name]
        kept = {key: one for key, one in array.attrs.items() if key not in _OF_GRID}
        array.attrs.put(kept | _of_grid(coordinates))


#: Attributes of outputs that name what describes the grid.
_OF_GRID = ("coordinates", "grid_mapping")


def _of_grid(coordinates: Coordinates) -> dict[str, str]:
    """Return the attributes of outputs that name what describes the grid."""
    values = (" ".join(coordinates.auxiliary), coordinates.grid_mapping)
    return {name: value for name, value in zip(_OF_GRID, values, strict=True) if value}


def _described(contents: StoredOutputs, components: tuple[int, ...] | None) -> dict[str, Any]:
    """Return what a mark says of the outputs."""
    found: dict[str, Any] = {"outputs": list(contents.outputs)}
    if components is not None:
        found["components"] = list(components)
    return found


def _create(
    writer: LabelWriter, wanted: Wanted, stamps: Mapping[str, str], coordinates: Coordinates
) -> None:
    """Create the group and its arrays. Its mark says "created" only after all arrays exist."""
    store, contents = open_zarr_store(writer.location, read_only=False), writer.contents
    mark: dict[str, Any] = {
        "identity": dict(wanted.identity),
        **_described(contents, wanted.components),
        "layout": contents.layout.stored(contents.n_columns),
        "digest": DIGEST,
        "stamps": dict(stamps),
        "policies": dict(wanted.policies),
        "complete": False,
    }
    if contents.noise:
        mark["left_out"], mark["noise"] = contents.masked, -1
    if contents.on_grid:
        mark["coordinates"] = coordinates.digest
    named = sorted(companions(contents, coordinates))
    if named:
        mark["companions"] = named
    group = zarr.create_group(store, attributes={MARK: mark | {"created": False}})
    _create_arrays(contents, group, contents.arrays(), coordinates)
    put_companions(contents, group, coordinates)
    consolidate(writer.location, (*contents.arrays(), *named))
    put_mark(writer.location, {"created": True})


def _create_arrays(
    contents: StoredOutputs, group: zarr.Group, paths: Iterable[str], coordinates: Coordinates
) -> None:
    """Create the arrays at `paths`, empty."""
    plans = contents.arrays()
    for path in paths:
        plan = plans[path]
        attributes: dict[str, Any] = {}
        if contents.on_grid and path in OUTPUTS:
            attributes = contents.attributes(path) | _of_grid(coordinates)
        group.create_array(
            path,
            shape=plan.shape,
            chunks=plan.chunks,
            dtype=plan.dtype,
            fill_value=plan.fill,
            compressors=packers(plan.dtype, plan.chunks),
            dimension_names=plan.dims,
            attributes=attributes,
            overwrite=True,
        )
