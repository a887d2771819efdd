"""`Rows`: data with named dimensions, and how rows and features are made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from emdist.inputs.layout import Layout
from emdist.inputs.quoting import shown


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Data with named dimensions, and how rows are made of them. Use `emdist.rows` to make one.

    Every estimator accepts it as `X`. Nothing is read before a fit.

    Attributes
    ----------
    data
        A path or URL of a Zarr group or array, an open one, an ``xarray.Dataset`` or an
        ``xarray.DataArray``.
    layout
        How rows and features are made of it.
    """

    data: Any
    layout: Layout

    def __repr__(self) -> str:
        said = self.layout.arguments()
        named = isinstance(self.data, str | os.PathLike)
        return f"emdist.rows({shown(self.data) if named else type(self.data).__name__}{said})"
