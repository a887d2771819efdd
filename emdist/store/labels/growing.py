"""Labels that grow: rows are added to a group of labels, whose other blocks stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zarr

from emdist.errors import CheckpointError, RunMismatchError
from emdist.store.chunks.zarr_thread import apart
from emdist.store.labels.array_plans import StoredOutputs, chosen_columns
from emdist.store.labels.consolidated import consolidate
from emdist.store.labels.layouts import LabelLayout
from emdist.store.labels.layouts.grid import GridLayout
from emdist.store.labels.place import (
    EARLIER,
    GROWING,
    Wanted,
    check_folder,
    companions_in,
    components_in,
    difference,
    is_created,
    label_mark,
    layout_of,
    outputs_there,
    put_mark,
    telling,
)
from emdist.store.places.location import Location, check_links, open_zarr_store
from emdist.store.runs.run_record import digest

#: What the mark says of the rows that are labelled, to notice if they change later.
WATCH = "watch"


def whole_blocks(layout: LabelLayout, rows: int) -> int:
    """Return how many blocks, from the first, are full of the first `rows` positions.

    They stay as they are when more rows come.
    """
    if isinstance(layout, GridLayout):
        boxes = layout.boxes
        return rows // boxes.steps[0] * (layout.blocks // boxes.counts[0])
    return int(rows // layout.region(0)[0].stop)


def to_be_extended(location: Location, wanted: Wanted) -> bool:
    """Return whether the labels at `location` are those of fewer rows, which are to be extended.

    Nothing is changed. False if there are no labels yet, or if they are of these data already.

    Raises
    ------
    RunMismatchError
        If they are of another model, of data that have not only grown, or stored in another way.
    """
    check_folder(location)
    check_links(location)
    mark = label_mark(location)
    if mark is None or not is_created(mark):
        return False
    known, asked = mark.get("identity"), dict(wanted.identity)
    if known == asked:
        return bool(mark.get(GROWING))
    if not isinstance(known, dict) or "model" not in known:
        raise _refused(
            location,
            "the run wrote them beside its model. Append to labels of their own, which `emdist "
            "label` has written: choose another place",
        )
    if known["model"] != asked["model"]:
        raise _refused(
            location,
            "they are of another model. Label all rows anew in another place, or allow emdist to "
            "overwrite them (--overwrite)",
        )
    assert wanted.layout is not None
    layout, columns = layout_of(mark, location)
    new = wanted.layout
    if layout.dims != new.dims or layout.shape[1:] != new.shape[1:]:
        raise _refused(
            location, f"{'; '.join(layout.differs(new))}. Only the first dimension grows"
        )
    if new.shape[0] <= layout.shape[0]:
        less = f"{new.shape[0]:,} positions along {new.dims[0]}, and they have {layout.shape[0]:,}"
        raise _refused(
            location,
            f"the data have {less}. Rows are only added behind those that are labelled. If the "
            "data were written again, label them in another place or with --overwrite",
        )
    told = {"identity": asked, "layout": new.stored(columns)}
    if why := difference(mark | told, wanted, location):
        raise _refused(location, why.removeprefix("but "))
    if layout.chunks != new.chunks:
        raise _refused(
            location,
            f"their chunks would have to change from {layout.chunks} to {new.chunks}. Label all "
            "rows anew in another place",
        )
    return True


def _refused(location: Location, why: str) -> RunMismatchError:
    return RunMismatchError(
        f"Nothing can be appended to the labels at {location}: {why}. Nothing was changed."
    )


@apart
def extend_labels(
    location: Location, wanted: Wanted, stamps: Mapping[str, str], watch: Any
) -> None:
    """Make room for more rows in the labels at `location`. `to_be_extended` has been asked.

    `watch` is stored with them: see `WATCH`. If this is killed, the mark says that it has to be
    done once more.
    """
    mark = label_mark(location) or {}
    assert wanted.layout is not None
    layout, columns = layout_of(mark, location)
    with telling("extend the labels in", location):
        if mark.get("identity") != dict(wanted.identity):
            put_mark(
                location,
                {
                    EARLIER: _earlier(mark, whole_blocks(layout, layout.shape[0])),
                    "identity": dict(wanted.identity),
                    "layout": wanted.layout.stored(columns),
                    "stamps": dict(stamps),
                    WATCH: watch,
                    "complete": False,
                    GROWING: True,
                },
            )
        outputs, noise = outputs_there(location, mark), "noise" in mark
        chosen = chosen_columns(components_in(mark), columns, noise)
        contents = StoredOutputs(outputs, wanted.layout, columns, noise, chosen)
        store = open_zarr_store(location, read_only=False)
        for path, plan in contents.arrays().items():
            array: zarr.Array[Any] = zarr.open_array(store, path=path, mode="r+")
            if array.shape != plan.shape:
                if any(a > b for a, b in zip(array.shape, plan.shape, strict=True)):
                    raise CheckpointError(f"{path} has the shape {array.shape}")
                array.resize(plan.shape)
        consolidate(location, (*contents.arrays(), *companions_in(mark)))


def _earlier(mark: Mapping[str, Any], blocks: int) -> list[list[Any]]:
    """Return, for the blocks from the first, the keys with which their digests begin."""
    before = mark.get(EARLIER, [])
    last = before[-1][0] if before else 0
    return [*before, [blocks, digest(mark["identity"])]] if blocks > last else [*before]


def extended(location: Location, watch: Any = None) -> None:
    """Note that all arrays and coordinates have room for the new rows; store `watch` if given."""
    news = {} if watch is None else {WATCH: watch}
    with telling("extend the labels in", location):
        put_mark(location, {GROWING: False, **news})
