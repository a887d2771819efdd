"""What users hand to an estimator, as a source and an engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import zarr

from emdist.engines.local import LocalEngine
from emdist.errors import ConfigError, WeightError
from emdist.interfaces import Engine, Floats, Source
from emdist.store.arrays import ArraySource, array_source
from emdist.store.zarr_source import reference, zarr_source

#: A NumPy array larger than this is not sent to a Dask cluster: bytes.
_SENDABLE = 256 << 20


def is_in_memory(x: Any) -> bool:
    """Whether `x` is data itself, and not a path, a Zarr array or a Dask array."""
    return not isinstance(x, str | Path | zarr.Array) and not _is_dask(x)


def _is_dask(x: Any) -> TypeGuard[Any]:
    return type(x).__module__.startswith("dask.") and hasattr(x, "chunks")


def make_engine(engine: Any) -> Engine:
    """None for threads of this process, a ``distributed.Client``, or an engine as it is."""
    if engine is None:
        return LocalEngine()
    if hasattr(engine, "map_reduce"):
        ready: Engine = engine
        return ready
    if type(engine).__module__.startswith("distributed"):
        from emdist.engines.dask import DaskEngine

        return DaskEngine(engine)
    raise ConfigError(
        f"engine={engine!r}; wanted None for threads here, or a distributed.Client for a cluster."
    )


def make_source(
    x: Any,
    sample_weight: Any,
    engine: Engine,
    block_bytes: int | None,
    missing_chunks: str,
    non_finite: str,
) -> Source:
    """`x` as a source.

    Parameters
    ----------
    x
        Array-like (n, d), dask array, ``zarr.Array``, or path or URL of a Zarr array.
    sample_weight
        (n,), a path or URL of a 1-D Zarr array, or None.
    engine
        That will read it.
    block_bytes, missing_chunks, non_finite
        As in the configuration.

    Raises
    ------
    DataError
        Of the kind that says what is wrong with `x`.
    """
    if isinstance(x, str | os.PathLike | zarr.Array):
        x = os.fspath(x) if isinstance(x, os.PathLike) else x
        weight = (
            reference(os.fspath(sample_weight))
            if isinstance(sample_weight, str | os.PathLike)
            else _weights(sample_weight)
        )
        return zarr_source(reference(x), weight, block_bytes, missing_chunks, non_finite)
    if _is_dask(x):
        from emdist.engines.dask_array import DaskArraySource

        if non_finite != "raise":
            raise ConfigError("non_finite='drop' is not available for dask arrays; use Zarr.")
        weights = _weights(sample_weight)
        source = DaskArraySource(x, weights)
        _check_length(weights, source.shape[0])
        return source
    return _in_memory(x, _weights(sample_weight), engine, block_bytes, non_finite)


def _in_memory(
    x: Any, weight: Floats | None, engine: Engine, block_bytes: int | None, non_finite: str
) -> ArraySource:
    if hasattr(x, "tocsr"):
        raise ConfigError("Sparse input is not supported; pass X.toarray(), or store it as Zarr.")
    x = np.asarray(x)
    if x.nbytes > _SENDABLE and not isinstance(engine, LocalEngine):
        raise ConfigError(
            f"X is a NumPy array of {x.nbytes / 2**20:.0f} MiB and would be sent to every worker. "
            "Store it as Zarr and pass its path or URL, or leave engine out."
        )
    source = array_source(x, weight, block_bytes, non_finite)
    _check_length(weight, len(x))
    return source


def _check_length(weight: Floats | None, rows: int) -> None:
    if weight is not None and weight.shape != (rows,):
        raise WeightError(
            f"Sample weights have shape {weight.shape}; wanted ({rows},), one for each row."
        )


def _weights(weight: Any) -> Floats | None:
    if weight is None:
        return None
    try:
        return np.ascontiguousarray(weight, np.float64)
    except (TypeError, ValueError):
        raise WeightError(f"sample_weight {weight!r} holds no numbers; wanted (n,).") from None
