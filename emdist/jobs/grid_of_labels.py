"""The labels of a run as a map: on two dimensions of their grid, or as the pixels of a picture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from emdist.errors import EmdistError
from emdist.jobs.evaluate import array_of_labels
from emdist.plot.findings import LabelGrid
from emdist.quality.labels import LEFT_OUT, StoredLabels
from emdist.settings.config import NewDataSection
from emdist.store.places.location import Location
from emdist.store.sources.references import ArrayRef

#: How many labels are read at most.
_READ = 40_000_000
#: The label of positions that have none, on a map.
_NONE = -3


def grid_of_labels(run: Location, data: NewDataSection) -> LabelGrid | None:
    """Return the labels of a run as a map; None if they lie on no grid, or there are none.

    Of more than two dimensions, the last two are shown, at the first position of the others.
    """
    try:
        labels = array_of_labels(run)
        if not isinstance(labels, StoredLabels):
            return None
        if len(labels.shape) == 1:
            return _picture(labels, data)
        return _map(labels)
    except (EmdistError, OSError):
        return None  # A report without a map: labels and data need not exist.


def _picture(labels: StoredLabels, data: NewDataSection) -> LabelGrid | None:
    """Return the labels of the pixels of one picture, of which ingest noted the size."""
    attributes = dict(ArrayRef(Location(data.path), data.array).open().attrs)
    size = attributes.get("height"), attributes.get("width")
    height, width = (n if isinstance(n, int) and n > 1 else 0 for n in size)
    if height * width != labels.shape[0] or height * width > _READ:
        return None
    found = labels.read((slice(None),), 0).reshape(height, width)
    return _thinned(found, ("line of the picture", "column of the picture"), "")


def _map(labels: StoredLabels) -> LabelGrid | None:
    shape = labels.shape
    if min(shape[-2:]) < 2 or math.prod(shape[-2:]) > _READ:
        return None
    given: Any = getattr(labels.ref.open().metadata, "dimension_names", None)
    names = [str(name) for name in given or (f"dimension {i}" for i in range(len(shape)))]
    before = len(shape) - 2
    region = (*(slice(0, 1) for _ in range(before)), slice(None), slice(None))
    found = labels.read(region, 0).reshape(shape[-2:])
    first = ", ".join(f"{name} 0" for name in names[:before])
    note = f"At the first position of the other dimensions: {first}." if first else ""
    grid = _thinned(found, (names[-2], names[-1]), note)
    return _upwards(grid, labels, names[-2])


def _thinned(found: Any, names: tuple[str, str], note: str) -> LabelGrid:
    return LabelGrid.of(np.where(found == LEFT_OUT, _NONE, found), names, _NONE, note)


def _upwards(grid: LabelGrid, labels: StoredLabels, name: str) -> LabelGrid:
    """Return a map whose first dimension rises upwards where its coordinates rise, as latitudes."""
    try:
        beside: Any = labels.ref.beside(name).open()
        rises = len(beside.shape) == 1 and float(beside[0]) < float(beside[-1])
    except (EmdistError, ValueError, TypeError):
        return grid
    return replace(grid, origin="lower" if rises else "upper")
