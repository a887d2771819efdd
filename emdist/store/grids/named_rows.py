"""An array (rows, features) as it lies whose rows are a dimension of their own, with coordinates.

It is read as any such array, so it has the same blocks and fingerprint. Only its labels lie on the
dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from emdist.store.grids.boxes import Boxes
from emdist.store.grids.coordinates import NOTHING, Coordinates
from emdist.store.sources.zarr_source import ZarrSource


@dataclass(frozen=True)
class NamedRows(ZarrSource):
    """Rows along a named dimension. Use `named_rows` to make one.

    Attributes
    ----------
    coordinates
        What describes the dimension, for labels.
    """

    coordinates: Coordinates = field(default=NOTHING, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "coordinates": NOTHING}  # They never travel with tasks.


def named_rows(source: ZarrSource, dim: str, coordinates: Coordinates) -> NamedRows:
    """Return `source` with its rows along the dimension `dim`."""
    known = {one.name: getattr(source, one.name) for one in fields(source)}
    step = source.bounds[1] - source.bounds[0]
    known["bounds"] = Boxes((dim,), (source.rows,), (step,), (0,))
    return NamedRows(**known, coordinates=coordinates)
