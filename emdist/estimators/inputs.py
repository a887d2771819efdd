"""Make a source and an engine from what users pass to an estimator."""

from __future__ import annotations

import os
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from emdist import composition, engines, prepare, store
from emdist.errors import ConfigError, DtypeError, WeightError
from emdist.estimators.datasets import (
    DatasetMembers,
    check_stored_weights,
    in_two_dimensions,
    is_dataset,
)
from emdist.estimators.prepared_rows import PreparedRows
from emdist.estimators.xarray_forms import UNNAMED, decoded_array, name_of
from emdist.inputs.arrays import as_array, real_array
from emdist.inputs.foreign import is_a
from emdist.inputs.frames import names_in
from emdist.inputs.layout import Layout, is_name
from emdist.inputs.lazy import is_lazy, opened
from emdist.inputs.names import Names
from emdist.inputs.polars_frames import batches, schema_of
from emdist.inputs.quoting import shown
from emdist.inputs.rows import Rows
from emdist.interfaces import Array, Engine, Floats, Source

if TYPE_CHECKING:
    from emdist.settings.config import ReadingSection
    from emdist.store.grids.variables import Members
    from emdist.store.places.location import Location
    from emdist.store.sources.arrays import ArraySource
    from emdist.store.sources.references import ArrayRef

#: Advice about masked values: in rows, and in sample weights.
_FILL = (
    "Pass {name}.filled(np.nan) and set non_finite to 'missing', or to 'drop' to leave out "
    "these rows, or fill the values."
)
_LEAVE_OUT = "Pass {name}.filled(0) to leave these rows out, or fill them with weights."
#: Bytes. A NumPy array larger than this is not sent to a Dask cluster.
_SENDABLE = 256 << 20


def as_location(path: Any, wanted: str) -> Location:
    """Return `path` as the location of a model; ConfigError if it is no path, naming `wanted`."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        found = "None" if path is None else f"{shown(path)}, of the type {type(path).__name__}"
        raise ConfigError(f"path is {found}; expected {wanted}, as a text or a pathlib.Path.")
    return store.places.location.Location(os.fspath(path))


def is_in_memory(x: Any) -> bool:
    """Return whether `x` is data itself, and not a path, a Zarr array or a Dask array."""
    lazy = store.sources.references.is_stored(x) or _is_dask(x) or is_lazy(x)
    return not (lazy or isinstance(x, Rows | PreparedRows))


def is_polars(x: Any) -> bool:
    """Return whether `x` is a frame or a query of polars, of which no array (n, d) is made."""
    return is_a(x, "polars", "DataFrame", "LazyFrame")


def is_query(x: Any) -> bool:
    """Return whether `x` is a query of polars, or its rows prepared: they end with the source."""
    return is_a(x.x if isinstance(x, PreparedRows) else x, "polars", "LazyFrame")


def as_matrix(x: Any) -> Array:
    """Return data in memory as a NumPy array (n, d); DataError if that is impossible.

    Arrays keep their memory layout and data type. NA, None and nulls become NaN.
    """
    found = as_array(x, "X", DtypeError, _FILL, lists=True)
    if found.dtype.kind == "c":
        raise DtypeError(
            f"Complex data not supported: X has dtype {found.dtype}; cluster its real and "
            "imaginary parts, or its modulus, as features."
        )
    store.sources.arrays.check_matrix(found.shape, "X")
    return found


def is_client(engine: Any) -> bool:
    """Return whether `engine` is a connection to a Dask cluster, or the cluster itself."""
    return is_a(engine, "distributed", "Client") or _is_cluster(engine)


def _is_cluster(engine: Any) -> bool:
    """Return whether `engine` is a cluster object of any package, such as ``LocalCluster()``."""
    return is_a(engine, "distributed", "Cluster") or is_a(engine, "dask_gateway", "GatewayCluster")


def _is_dask(x: Any) -> TypeGuard[Any]:
    return type(x).__module__.startswith("dask.") and hasattr(x, "chunks")


def make_engine(engine: Any) -> Engine:
    """Make the engine: threads for None, Dask for a client or cluster; engines are returned."""
    if engine is None:
        return engines.threads.LocalEngine()
    if hasattr(engine, "map_reduce") and not isinstance(engine, type):
        ready: Engine = engine
        return ready
    if is_client(engine):
        from emdist.engines.dask.engine import DaskEngine
        from emdist.engines.dask.packages import told_by

        client = _client(engine)
        if (doubt := told_by(client)) is not None:
            warnings.warn(doubt, RuntimeWarning, stacklevel=4)
        return DaskEngine(client)
    raise ConfigError(
        f"engine={shown(engine)}; expected None for threads in this process, or a "
        "distributed.Client for a Dask cluster."
    )


def _client(engine: Any) -> Any:
    """Return the client of a cluster, or `engine` if it is a client; ConfigError if closed."""
    status = getattr(engine.status, "name", engine.status)
    if status in ("closed", "closing", "failed"):
        kind = type(engine).__name__
        remedy = (
            "Make a cluster that stays open during the fit, and pass it or its client"
            if _is_cluster(engine)
            else "Connect a new one to the cluster, as Client(address), and pass that"
        )
        raise ConfigError(f"engine is a {kind} that is {status}. {remedy} as engine=.")
    return engine.get_client() if _is_cluster(engine) else engine


def make_source(
    x: Any,
    sample_weight: Any,
    engine: Engine,
    reading: ReadingSection,
) -> Source:
    """Make a source that reads `x`.

    Parameters
    ----------
    x
        NumPy array (n, d), frame or query of polars, dask array or data frame, lazy
        xarray.DataArray, ``zarr.Array``, path or URL of a Zarr array, or prepared rows of any of
        them.
    sample_weight
        Sample weights: an array (n,), a path or URL of a 1-D Zarr array, or None.
    engine
        The engine that will read the source.
    reading
        The size of blocks, and what to do about missing chunks and NaN.

    Raises
    ------
    DataError
        If `x` is wrong. The subclass says what is wrong with it.
    """
    if isinstance(x, PreparedRows):
        rows = make_source(x.x, sample_weight, engine, reading)
        return prepare.source.prepared(rows, x.preparation, keep_names=False)
    if is_a(x, "xarray", "DataArray"):
        in_two_dimensions(x)
        x = decoded_array(x) if reading.decode == "cf" else x
    if isinstance(x, Rows) and is_dataset(x.data):
        return _dataset(x, sample_weight, engine, reading)
    if store.sources.references.is_stored(x) or isinstance(x, Rows):
        stored = store.grids.opening.stored_source(
            store.sources.references.reference(x.data if isinstance(x, Rows) else x),
            x.layout if isinstance(x, Rows) else Layout(),
            _stored_weights(x, sample_weight),
            block_bytes=reading.block_bytes,
            missing=reading.missing_chunks,
            non_finite=reading.non_finite,
            corrupt=reading.corrupt_chunks,
            decode=reading.decode,
        )
        if not isinstance(x, Rows):
            check_stored_weights(store.sources.references.reference(x), sample_weight)
        composition.reach.check_reach(engine, *stored.refs)
        return composition.caching.ahead_source(stored, engine)
    weights = _weights(sample_weight)
    names: Names = None
    if is_lazy(x):
        x, names = opened(x)
    if is_polars(x):
        source: Source = _polars(x, weights, engine, reading)
    elif _is_dask(x):
        source = _dask(x, weights, engine, reading, names)
    else:
        source = _in_memory(x, weights, engine, reading)
    _check_length(weights, source.shape[0])
    return source


def _stored_weights(x: Any, weight: Any) -> Floats | Members | ArrayRef | str | None:
    """Return the sample weights of stored data; for rows, a text may name a variable."""
    if not store.sources.references.is_stored(weight):
        return _weights_on_grid(weight) if isinstance(x, Rows) else _weights(weight)
    if isinstance(x, Rows) and isinstance(weight, str):
        return store.grids.opening.stored_weights(
            store.sources.references.reference(x.data), x.layout, weight
        )
    return store.sources.references.reference(weight)


def _dataset(x: Rows, weight: Any, engine: Engine, reading: ReadingSection) -> Source:
    """Return variables of xarray on a grid as a source."""
    if isinstance(weight, os.PathLike) or (
        store.sources.references.is_stored(weight) and not isinstance(weight, str)
    ):
        raise ConfigError(
            "sample_weight is stored, but X is an xarray object. Name a variable of it, or pass "
            "the weights in memory."
        )
    members = DatasetMembers(x.data, reading.decode, x.layout)
    found = store.grids.grid_source.grid_source(
        members,
        store.grids.arrangement.arranged(members, x.layout),
        weight if isinstance(weight, str) else _weights_on_grid(weight),
        block_bytes=reading.block_bytes,
        non_finite=reading.non_finite,
    )
    whole = map(store.grids.taken.untaken, found.plan.variables)
    held = sum(one.nbytes for one in whole if isinstance(one, store.grids.held.HeldVariable))
    _check_sendable(held, "xarray object", engine)
    return composition.caching.ahead_source(found, engine)


def _weights_on_grid(weight: Any) -> Floats | Members | None:
    """Return weights in memory, or those of a DataArray, which go by the names of dimensions."""
    if not is_a(weight, "xarray", "DataArray"):
        return _weights(weight)
    unnamed = name_of(weight) == UNNAMED
    return DatasetMembers(weight.rename("sample_weight") if unnamed else weight)


def _dask(
    x: Any, weight: Floats | None, engine: Engine, reading: ReadingSection, names: Names
) -> Source:
    from emdist.engines.dask.array import dask_source
    from emdist.engines.dask.persisted import check_client

    if reading.non_finite == "drop":
        raise ConfigError("non_finite='drop' is not available for Dask arrays; use a Zarr array.")
    if reading.block_size is not None:
        raise ConfigError(
            "block_size is not available for Dask arrays, whose blocks consist of their "
            "chunks; rechunk the array, or use a Zarr array."
        )
    refs = store.sources.lazy_stores.stored_in(x)
    source = dask_source(
        x, weight, names, partial(store.sources.stamps.stamps_of, *refs) if refs else dict
    )
    if source.futures:
        check_client(source.futures, getattr(engine, "client", None))
    return source


def _polars(x: Any, weight: Floats | None, engine: Engine, reading: ReadingSection) -> Source:
    """Return a frame of polars as a source, or a query: computed once, into a temporary file."""
    policy = reading.non_finite
    if is_a(x, "polars", "DataFrame"):
        _check_sendable(x.estimated_size(), "polars.DataFrame", engine)
        return store.sources.frames.frame_source(
            x, weight, reading.block_bytes, policy, names_in(x)
        )
    if not isinstance(engine, engines.threads.LocalEngine):
        raise ConfigError(
            "X is a polars.LazyFrame, whose rows are computed in this process only. Write them, "
            'as X.sink_parquet("x.parquet"), run `emdist ingest x.parquet x.zarr`, and pass the '
            "path of x.zarr; or leave engine out, to use the threads of this process."
        )
    empty, dtype = schema_of(x)
    rows = batches(x, dtype, empty.width)
    return store.sources.spooled.spooled(
        rows, empty.width, dtype, weight, reading.block_bytes, policy, names_in(empty)
    )


def _in_memory(
    x: Array, weight: Floats | None, engine: Engine, reading: ReadingSection
) -> ArraySource:
    _check_sendable(x.nbytes, "NumPy array", engine)
    return store.sources.arrays.array_source(x, weight, reading.block_bytes, reading.non_finite)


def _check_sendable(nbytes: int, kind: str, engine: Engine) -> None:
    """Raise ConfigError if data in memory are too large to be sent to every worker."""
    if nbytes > _SENDABLE and not isinstance(engine, engines.threads.LocalEngine):
        raise ConfigError(
            f"X is a {kind} of {nbytes / 2**20:.0f} MiB, which would be sent to every "
            "worker. Store it as Zarr and pass its path or URL, or leave engine out."
        )


def _check_length(weight: Floats | None, rows: int) -> None:
    if weight is not None and weight.shape != (rows,):
        raise WeightError(
            f"Sample weights have shape {weight.shape}, expected ({rows},): one for each row."
        )


def _weights(weight: Any) -> Floats | None:
    if weight is None:
        return None
    if isinstance(weight, str) and is_name(weight):
        raise ConfigError(
            f"sample_weight is {shown(weight)}. A text is the path of a Zarr array, or a variable "
            "of the data of emdist.rows, and X is neither. Pass the weights in memory, such as a "
            f"column of the data frame, frame[{shown(weight)}], and leave this column out of X."
        )
    if store.sources.references.is_stored(weight):
        raise ConfigError(
            "sample_weight is a Zarr array, but X is not. Pass the weights in memory, such as "
            "zarr.open_array(path)[:], or pass X as a Zarr array too."
        )
    found = real_array(weight, "sample_weight", WeightError, "one number for each row", _LEAVE_OUT)
    return np.ascontiguousarray(found)
