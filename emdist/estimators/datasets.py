"""xarray objects as variables of a grid, and results as DataArrays on the grid of their samples."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from emdist import prepare, store
from emdist.errors import ConfigError, DtypeError, NotAnArrayError
from emdist.estimators.dataset_coordinates import decoded_coordinates, described_variable
from emdist.estimators.prepared_rows import PreparedRows
from emdist.estimators.xarray_forms import as_dataset, decoded_variable, name_of
from emdist.inputs.foreign import is_a
from emdist.inputs.layout import Layout
from emdist.inputs.lazy import in_chunks, is_lazy
from emdist.inputs.quoting import shown
from emdist.inputs.rows import Rows
from emdist.interfaces import Array, Source
from emdist.runtime.extras import need

if TYPE_CHECKING:
    from emdist.store.grids.coordinates import Coordinates, DescribingArray
    from emdist.store.grids.held import HeldVariable
    from emdist.store.grids.variables import Members
    from emdist.store.sources.references import ArrayRef


def is_dataset(x: Any) -> bool:
    """Return whether `x` is an object of xarray."""
    return is_a(x, "xarray", "Dataset", "DataArray")


class DatasetMembers:
    """The variables of an ``xarray.Dataset`` or of a DataArray. It never travels.

    Parameters
    ----------
    data
        The object. Lazy variables stay lazy.
    decode
        "cf" or "none", as in `emdist.estimators.xarray_forms.as_dataset`.
    layout
        How rows are made of it, for advice; None for a variable alone.
    """

    def __init__(self, data: Any, decode: str = "cf", layout: Layout | None = None) -> None:
        self._layout = layout or Layout()
        self._alone = is_a(data, "xarray", "DataArray")
        self._name = name_of(data) if self._alone else ""
        self._data, self._decode = as_dataset(data, decode), decode
        self._found: dict[str, HeldVariable] = {}

    @property
    def title(self) -> str:
        return f"the xarray.{'DataArray' if self._alone else 'Dataset'}"

    @property
    def is_array(self) -> bool:
        return self._alone

    def names(self) -> list[str]:
        return sorted(str(name) for name in self._data.variables)

    def only(self) -> HeldVariable:
        return self.variable(self._name)

    def data_variables(self) -> list[str]:
        return sorted(
            (str(name) for name in self._data.data_vars), key=store.grids.variables.natural
        )

    def variable(self, name: str) -> HeldVariable:
        if name not in self._data.variables:
            raise store.grids.variables.unknown(self, name)
        if name not in self._found:
            self._check(name)
            self._found[name] = _held(name, self._data[name], self._layout)
        return self._found[name]

    def described(self, name: str) -> DescribingArray | None:
        return described_variable(self._data, name)

    def shared_coordinates(self) -> list[str]:
        return [str(name) for name in self._data.coords if name not in self._data.dims]

    def attributes(self, name: str) -> Mapping[str, Any]:
        return _attributes(self._data, name)

    def coordinate(self, dim: str) -> Array | None:
        if dim not in self._data.coords or self._data[dim].dims != (dim,):
            return None
        self._check(dim)
        return np.asarray(self._data[dim].values)

    def _check(self, name: str) -> None:
        """Raise DtypeError if a variable could not be decoded, because an attribute is wrong."""
        if self._decode == "cf":
            decoded_variable(self._data.variables[name], name)


def _held(name: str, array: Any, layout: Layout) -> HeldVariable:
    """Return a variable of xarray. What a backend has not loaded yet becomes a Dask array."""
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{name} has dtype {array.dtype}, expected real numbers. Leave it out of the "
            "variables, or convert it to numbers."
        )
    dims = tuple(str(dim) for dim in array.dims)
    store.grids.axes.check_unique_dims(dims, name)
    if is_lazy(array):
        array = in_chunks(array)
    if array.chunks is None:
        return store.grids.held.HeldVariable(name, array.values, dims, (1,) * len(dims))
    lazy = array.data
    if not is_a(lazy, "dask", "Array"):
        raise DtypeError(f"{name} holds a {type(lazy).__name__}, expected NumPy or Dask arrays.")
    from emdist.engines.dask.parts import Computed
    from emdist.engines.dask.persisted import detached
    from emdist.engines.dask.sampling import identity_of

    if detached(lazy)[1]:
        raise NotAnArrayError(
            f"{name} is persisted on a Dask cluster, where emdist reads only Dask arrays of rows "
            f"and features. Pass X={_stacked(name, dims, layout)} with engine=client, if this is "
            "the only variable. Or make rows of the Dataset as it was before persist(), or of the "
            "path to which dataset.to_zarr(path) stores it."
        )
    units = tuple(max(int(n) for n in sizes) if sizes else 1 for sizes in array.chunks)
    compute = Computed(name, uuid.uuid4().hex)
    return store.grids.held.HeldVariable(
        name, lazy, dims, units, compute, identity_of, store.sources.lazy_stores.stored_in(lazy)
    )


def _stacked(name: str, dims: tuple[str, ...], layout: Layout) -> str:
    """Return the code that makes a Dask array of rows and features of a variable `array`."""
    features = [dim for dim in dims if dim in layout.features]
    if not features and layout.samples:
        features = [dim for dim in dims if dim not in layout.samples]
    samples = [dim for dim in dims if dim not in features]
    if not features:
        return f"dataset[{name!r}].stack(row={samples}).data[:, None]"
    return f"dataset[{name!r}].stack(row={samples}, feature={features}).data"


class GridResult:
    """Makes DataArrays of results for rows on a grid.

    Parameters
    ----------
    names, shape
        The dimensions of the grid.
    coords
        The coordinates on it, by name.
    grid_mapping
        The attribute ``grid_mapping`` of the data, which names the coordinate with the projection.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        shape: tuple[int, ...],
        coords: Mapping[str, Any],
        grid_mapping: str = "",
    ) -> None:
        self._xr = need("xarray", "The result on the grid of the samples")
        self._names, self._shape, self._coords = names, shape, dict(coords)
        self._attributes = {"grid_mapping": grid_mapping} if grid_mapping else {}

    def check(self, dim: str) -> None:
        """Raise ConfigError if results cannot have a dimension called `dim` beside the grid's."""
        if dim in self._names or dim in self._coords:
            raise ConfigError(
                f"The data have a dimension or coordinate {dim!r}, and so has the result. Rename "
                f"that of the data, for example emdist.rows(dataset.rename({dim}='data_{dim}'), "
                "...), where dataset is the xarray object, or xarray.open_zarr(path)."
            )

    def of(
        self,
        values: Array,
        rows: Array,
        name: str,
        fill: float,
        columns: tuple[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return `values` (m,) or (m, c) of rows with numbers `rows` as a DataArray.

        Parameters
        ----------
        values, rows
            The values, and the numbers of their rows.
        name
            The name of the DataArray.
        fill
            The value of rows that are left out.
        columns
            The name of the second dimension and its coordinate, for (m, c).
        attributes
            What the values are, as attributes of the CF conventions.
        """
        whole = np.full((math.prod(self._shape), *values.shape[1:]), fill, values.dtype)
        whole[rows] = values
        dims, coords = self._names, dict(self._coords)
        if columns is not None:
            dims = (*dims, columns[0])
            coords[columns[0]] = columns[1]
        shaped = whole.reshape(*self._shape, *values.shape[1:])
        attrs = {**(attributes or {}), **self._attributes}
        found = self._xr.DataArray(shaped, dims=dims, coords=coords, name=name, attrs=attrs)
        found.encoding["_FillValue"] = fill  # In a file, xarray shows these rows as missing.
        return found


def grid_of(x: Any, source: Source) -> GridResult | None:
    """Return the grid of the rows of `x`, or None if its rows are only numbered.

    Parameters
    ----------
    x
        What the user passed.
    source
        The source that was made of it.
    """
    source = prepare.source.unprepared(source)
    while isinstance(x, PreparedRows):
        x = x.x
    if isinstance(source, store.grids.grid_source.GridSource):
        bounds = source.bounds
        return _on_grid(bounds.names, bounds.shape, source.coordinates)
    if isinstance(x, Rows):
        # The source is an array (rows, features) as it lies.
        members = store.grids.members.StoredMembers(store.sources.references.reference(x.data))
        plan = store.grids.arrangement.arranged(members, x.layout)
        return _on_grid(
            plan.samples, plan.shape, store.grids.coordinates.described_grid(members, plan)
        )
    if not is_a(x, "xarray", "DataArray"):
        return None
    dim = x.dims[0]
    coords = {name: one.variable for name, one in x.coords.items() if set(one.dims) <= {dim}}
    mapping = x.attrs.get("grid_mapping", x.encoding.get("grid_mapping", ""))
    return GridResult((str(dim),), (x.shape[0],), coords, mapping if mapping in coords else "")


def _on_grid(
    names: tuple[str, ...], shape: tuple[int, ...], coordinates: Coordinates
) -> GridResult:
    """Return a grid with its coordinates and its projection, as far as they can be read."""
    found = decoded_coordinates(coordinates)
    mapping = coordinates.without([one.name for one in coordinates.arrays if one.name not in found])
    return GridResult(names, shape, found, mapping.grid_mapping)


def in_two_dimensions(x: Any) -> None:
    """Check that a DataArray is (rows, features), and that it is clear which is which.

    Raises
    ------
    ShapeError
        If it is not. The message says how to make rows of it.
    """
    name = f"X, an xarray.DataArray ({shown(str(x.name))})" if x.name else "X, an xarray.DataArray,"
    dims = tuple(str(dim) for dim in x.dims)
    store.grids.axes.check_unique_dims(dims, name)
    store.grids.axes.check_dims(dims, name, partial(_attributes, x))


def check_weights_beside(x: Any, weight: Any) -> None:
    """Check that the weights of a DataArray (rows, features) belong to its rows.

    Raises
    ------
    WeightError
        If both have a coordinate of the rows, and these differ.
    """
    if is_a(weight, "xarray", "DataArray") and weight.dims == x.dims[:1]:
        _check_weights(DatasetMembers(x, "none"), weight)


def check_stored_weights(ref: ArrayRef, weight: Any) -> None:
    """Check that a DataArray of weights belongs to the rows of the array `ref`.

    Raises
    ------
    WeightError
        If both have a coordinate of the rows, and these differ.
    """
    if is_a(weight, "xarray", "DataArray"):
        data = store.grids.members.StoredMembers(ref)
        if weight.dims == data.only().dims[:1]:
            _check_weights(data, weight)


def _check_weights(data: Members, weight: Any) -> None:
    own = DatasetMembers(weight, "none")
    (dim,) = own.only().dims
    store.grids.comparing.check_weights_along(
        dim, "sample_weight", own.coordinate(dim), data.coordinate(dim)
    )


def _attributes(x: Any, dim: str) -> dict[str, Any]:
    """Return the attributes of a coordinate; times that xarray has decoded have their axis."""
    if dim not in x.coords:
        return {}
    times = {"axis": "T"} if x[dim].dtype.kind == "M" else {}
    return {**times, **x[dim].attrs}
