"""Labels as xarray datasets, read lazily: those of a run, or of any group of labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emdist.errors import CheckpointError, NotFoundError
from emdist.jobs.finished import SUMMARY
from emdist.runtime.extras import need
from emdist.store.labels.place import MARK, check_created, label_mark, outputs_there
from emdist.store.places.files import no_folder, open_folder
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.runs.publications import published
from emdist.store.runs.sealed import MANIFEST_LIMIT

if TYPE_CHECKING:
    import xarray


def labels_at(place: Location) -> Location:
    """Return where the labels of a run are, or `place` if it is a group of labels.

    Raises
    ------
    NotFoundError
        If there are none.
    """
    place = published(place, "labels")
    for found in (place, place.child("labels.zarr"), _elsewhere(place)):
        if found is not None and label_mark(found) is not None:
            return found
    raise NotFoundError(
        no_folder(place)
        or f"There are no labels at {place}. Give the folder of a run that wrote labels, or a "
        f"group of labels. To label data with a model: emdist label {place} DATA OUT."
    )


def _elsewhere(run: Location) -> Location | None:
    """Return the location of labels that the summary of a run names, or None."""
    try:
        found: Any = json.loads(open_folder(run).read(SUMMARY, MANIFEST_LIMIT))
    except (NotFoundError, CheckpointError, ValueError, RecursionError):
        return None
    labels = found.get("labels") if isinstance(found, dict) else None
    return Location(labels, run.options) if isinstance(labels, str) else None


def opened_labels(place: Location) -> tuple[xarray.Dataset, bool]:
    """Return the outputs at `place` as a dataset, and whether they are complete.

    Labels are integers, with -1 or -2 for rows that were left out, as `predict` returns them. Other
    outputs are NaN there.

    Raises
    ------
    NotFoundError
        If there are no labels.
    CheckpointError
        If their creation, or their replacement, was cut off.
    ConfigError
        If xarray is not installed.
    """
    xr: Any = need("xarray", "Opening labels")
    labels = labels_at(place)
    mark = label_mark(labels) or {}
    check_created(mark, labels)
    outputs = outputs_there(labels, mark)
    store = open_zarr_store(labels, read_only=True)
    # Masked, integers would become floats with NaN.
    whole = {"labels": False} if "labels" in outputs else True
    found: xarray.Dataset = xr.open_zarr(store, consolidated=False, mask_and_scale=whole)
    found = found[list(outputs)]
    if "labels" in found and "_FillValue" in found["labels"].attrs:
        # There, xarray looks for it when it writes the labels to another file.
        found["labels"].encoding["_FillValue"] = found["labels"].attrs.pop("_FillValue")
    found.attrs.pop(MARK, None)  # It is of use to emdist only, and NetCDF cannot hold it.
    return found, bool(mark.get("complete"))
