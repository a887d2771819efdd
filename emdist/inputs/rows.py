"""`Rows`: data with named dimensions, and how rows and features are made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NoReturn

from emdist.errors import DtypeError
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

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be an array, because only emdist reads these rows, block by block."""
        raise DtypeError(
            "Only emdist reads rows that emdist.rows makes, block by block. In a pipeline, use the "
            "steps of emdist.prepare, such as emdist.prepare.StandardScaler, in place of those of "
            "scikit-learn. For an array in memory, stack the dimensions with xarray: "
            "dataset[name].stack(row=samples, feature=features).transpose('row', 'feature').values."
        )
