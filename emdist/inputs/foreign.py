"""Objects that are no arrays, such as groups, lazy frames and sparse matrices, with advice.

Classes of other packages are recognised by their names, so that none of these packages is imported.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from emdist.inputs.gridded import dataset, group
from emdist.inputs.quoting import named

#: Classes of Arrow whose rows are in files.
_ARROW = ("Dataset", "Scanner", "RecordBatchReader", "ParquetFile", "ParquetDataset")
#: How many characters of a value messages show.
_LONGEST = 40


def is_a(value: Any, package: str, *names: str) -> bool:
    """Return whether a class of `value`, or a base class, has one of these names in `package`."""
    kind: Any = type(value)  # Mypy takes no class for hashable.
    return _is_kind(kind, package, names)


@lru_cache(maxsize=4096)  # Each input is asked some thirty questions, and fits come in hundreds.
def _is_kind(kind: type, package: str, names: tuple[str, ...]) -> bool:
    return any(
        base.__name__ in names and base.__module__.partition(".")[0] == package
        for base in kind.__mro__
    )


def refusal(value: Any, name: str, lists: bool = False) -> str | None:
    """Return why `value` is refused as the array `name`, and what to pass; None if it may be one.

    Parameters
    ----------
    value
        What the user passed.
    name
        The user's name for it.
    lists
        Whether lists of whole matrices or of paths are refused with a message about lists.
    """
    if isinstance(value, list | tuple):
        return _list(value, name) if lists else None
    for kind, find in _KINDS:
        if kind(value):
            return find(value, name)
    return None


def _sparse(value: Any, name: str) -> str:
    if type(value).__module__.partition(".")[0] == "cupyx":
        return (
            f"{name} is a sparse matrix of CuPy, on a GPU. Sparse input is not supported: pass "
            f"{name}.get().toarray() if it fits in memory."
        )
    convert = "toarray" if hasattr(value, "toarray") else "todense"
    return (
        f"{name} is a sparse matrix. Sparse input is not supported: pass {name}.{convert}() if it "
        "fits in memory, or reduce its columns first, for example with "
        "sklearn.decomposition.TruncatedSVD."
    )


def _backed(value: Any, name: str) -> str:
    return (
        f"{name} is a sparse matrix of AnnData in a file. Sparse input is not supported: pass "
        f"{name}.to_memory().toarray() if it fits in memory, or a dense array of the same cells."
    )


def _dataset_of_arrow(value: Any, name: str) -> str:
    kind = f"pyarrow {type(value).__name__}"
    if is_a(value, "pyarrow", "Dataset"):
        return (
            f"{name} is a {kind}, which is not read block by block yet. Pass "
            f"polars.scan_pyarrow_dataset({name}), which is, or {name}.to_table() if it fits in "
            "memory."
        )
    read = {"Scanner": "to_table", "RecordBatchReader": "read_all"}.get(
        type(value).__name__, "read"
    )
    return (
        f"{name} is a {kind}. Pass {name}.{read}() if it fits in memory. Larger files: pass "
        "polars.scan_parquet(path), or run `emdist ingest`."
    )


def _stored_elsewhere(value: Any, name: str) -> str:
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    return (
        f"{name} is a {kind}, an array in a file, which would be loaded whole. Pass "
        f"dask.array.from_array({name}), which is read block by block, or {name}[:]."
    )


def _file_of_arrays(value: Any, name: str) -> str:
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    holds = list(getattr(value, "variables", value))
    example = f'{name}["{holds[0]}"]' if holds else f'{name}["NAME"]'
    return (
        f"{name} is a {kind} with {named(holds) or 'no arrays'}. Pass one of its arrays, as "
        f"dask.array.from_array({example})."
    )


def store_advice(value: Any, name: str) -> str | None:
    """Return what to pass in place of a store of Zarr, or None if `value` is none."""
    if is_a(value, "icechunk", "Repository"):
        store = f"{name}.readonly_session('main').store"
    elif is_a(value, "icechunk", "Session"):
        store = f"{name}.store"
    elif is_a(value, "zarr", "Store"):
        store = name
    else:
        return None
    return (
        f"{name} is a store of Zarr ({type(value).__name__}), not an array. Open what it "
        f"holds: zarr.open_group({store}, mode='r') for emdist.rows, or zarr.open_array({store}, "
        "path=..., mode='r') for an array of rows and features."
    )


def _lazy_array(value: Any, name: str) -> str:
    return (
        f"{name} is an xarray.DataArray over a Dask array. Pass {name}.data, the Dask array "
        "(rows, features), which is never loaded whole."
    )


def _anndata(value: Any, name: str) -> str:
    dense = f"{name}.X" + (".toarray()" if hasattr(value.X, "toarray") else "")
    more = [f"{name}.obsm['{key}']" for key in value.obsm]
    return f"{name} is an AnnData object. Pass one of its matrices: {named([dense, *more])}."


def _dask_frame(value: Any, name: str) -> str:
    return (
        f"{name} is a dask {type(value).__name__}. Pass {name}.to_dask_array(lengths=True), a Dask "
        "array of its rows and numeric columns."
    )


def _lazy_frame(value: Any, name: str) -> str:
    return f"{name} is a polars LazyFrame, which holds no rows yet; pass {name}.collect()."


def _mapping(value: Any, name: str) -> str:
    return (
        f"{name} is a {type(value).__name__} of {len(value)} ({named(value)}), not an array; "
        f"pass numpy.column_stack(list({name}.values())) if its values are the columns."
    )


def _unordered(value: Any, name: str) -> str:
    return f"{name} is a {type(value).__name__}, which has no order; pass a list or an array."


def _generator(value: Any, name: str) -> str:
    return (
        f"{name} is a {type(value).__name__}, which can be read only once; pass "
        f"numpy.array(list({name})), or its chunks of rows to partial_fit of an estimator that "
        "has it."
    )


def _none(value: Any, name: str) -> str:
    return f"{name} is None, and there is no default for it; pass an array of numbers."


def _bytes(value: Any, name: str) -> str:
    return (
        f"{name} is bytes, {value!r:.{_LONGEST}}, and neither an array nor a path. A path is a "
        f"text or a pathlib.Path: os.fsdecode({name}); numbers in bytes are "
        f"numpy.frombuffer({name}, dtype)."
    )


def _is_file(value: Any) -> bool:
    return isinstance(value, io.IOBase) or all(hasattr(value, m) for m in ("read", "fileno"))


def _file(value: Any, name: str) -> str:
    path = getattr(value, "name", None)
    which = f" of {path!s:.{_LONGEST}}" if isinstance(path, str | os.PathLike) else ""
    return (
        f"{name} is an open file{which} ({type(value).__name__}), not an array. Pass what it "
        "holds, such as numpy.load(file) or numpy.loadtxt(file), or bring the file into a Zarr "
        "array with `emdist ingest` and pass the path of that."
    )


def _async_zarr(value: Any, name: str) -> str:
    return f"{name} is a zarr {type(value).__name__}; pass zarr.Array({name}), or its path."


def _elsewhere(value: Any, name: str) -> str:
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    convert = (
        f"{name}.get()" if is_a(value, "cupy", "ndarray") else f"{name}.detach().cpu().numpy()"
    )
    return f"{name} is a {kind} that NumPy cannot read in place; pass {convert}."


def _off_host(value: Any) -> bool:
    """Return whether NumPy cannot read `value`, because it is on a GPU or requires gradients."""
    if is_a(value, "cupy", "ndarray"):
        return True
    if not is_a(value, "torch", "Tensor"):
        return False
    return bool(value.requires_grad) or value.device.type != "cpu"


def _list(value: list[Any] | tuple[Any, ...], name: str) -> str | None:
    """Return the message for a list of paths or of whole matrices, or None for other lists."""
    first = value[0] if value else None
    if isinstance(first, str | os.PathLike):
        return (
            f"{name} is a list of {len(value)} paths or texts, not an array. Pass one path of a "
            "Zarr array; for several use dask.array.concatenate([dask.array.from_zarr(path) for "
            f"path in {name}]), and bring files of another kind into one with `emdist ingest`."
        )
    is_dask = is_a(first, "dask", "Array")
    if is_dask or is_a(first, "zarr", "Array"):
        lazy = name if is_dask else f"[dask.array.from_zarr(a) for a in {name}]"
        return (
            f"{name} is a list of {len(value)} lazy or stored arrays; pass "
            f"dask.array.concatenate({lazy})."
        )
    if getattr(first, "ndim", 0) == 2:
        join = "pandas.concat" if is_a(first, "pandas", "DataFrame") else "numpy.concatenate"
        return (
            f"{name} is a list of {len(value)} matrices; pass {join}({name}) if their rows follow "
            "one another."
        )
    return None


#: Pairs of functions: whether a value is of a kind, and the message for it.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any, str], str]], ...] = (
    (lambda x: x is None, _none),
    (lambda x: isinstance(x, bytes | bytearray), _bytes),
    (lambda x: is_a(x, "h5py", "Dataset") or is_a(x, "netCDF4", "Variable"), _stored_elsewhere),
    (lambda x: is_a(x, "h5py", "Group") or is_a(x, "netCDF4", "Dataset"), _file_of_arrays),
    (lambda x: is_a(x, "pyarrow", *_ARROW), _dataset_of_arrow),
    (_is_file, _file),
    (lambda x: is_a(x, "anndata", "BaseCompressedSparseDataset"), _backed),
    (lambda x: hasattr(x, "tocsr") or is_a(x, "sparse", "SparseArray"), _sparse),
    (lambda x: is_a(x, "zarr", "Group"), group),
    (lambda x: store_advice(x, "X") is not None, lambda x, name: store_advice(x, name) or ""),
    (lambda x: is_a(x, "zarr", "AsyncArray", "AsyncGroup"), _async_zarr),
    (lambda x: is_a(x, "xarray", "Dataset"), dataset),
    (lambda x: is_a(x, "xarray", "DataArray") and x.chunks is not None, _lazy_array),
    (lambda x: is_a(x, "anndata", "AnnData"), _anndata),
    (lambda x: is_a(x, "dask", "DataFrame", "Series", "Index", "FrameBase"), _dask_frame),
    (lambda x: is_a(x, "polars", "LazyFrame"), _lazy_frame),
    (lambda x: isinstance(x, Mapping), _mapping),
    (lambda x: isinstance(x, set | frozenset), _unordered),
    (lambda x: isinstance(x, Iterator), _generator),
    (_off_host, _elsewhere),
)
