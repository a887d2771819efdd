"""Files and folders that are no Zarr arrays: what they are, and the line that makes them one.

A file is recognised by its first bytes, and else by its name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from emdist.inputs.plugins import plugins

#: The first bytes of files: HDF5 and so NetCDF-4, classic NetCDF, Arrow, and TIFF in four ways.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
_ARROW = b"ARROW1"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Endings of Parquet files, and how many names of a folder are looked at.
_PARQUET, _LOOKED_AT = (".parquet", ".pq"), 1000
#: How AnnData marks a group that holds a sparse matrix.
_SPARSE = ("csr_matrix", "csc_matrix")


def advice(path: Path) -> str:
    """Return what a file is that was given in place of an array, and what to do, as sentences."""
    name, stem, end = path.name, path.stem, path.suffix.lower()
    if end in (".yaml", ".yml"):
        return f"It is a configuration, which `emdist fit -f {name}` reads."
    first = _first_bytes(path)
    if end == ".h5ad":
        return (
            "It is an AnnData file. Convert it once, in Python: "
            f'anndata.read_h5ad("{name}").write_zarr("{stem}.zarr"), and name one of its dense '
            f"arrays, such as {stem}.zarr/obsm/X_pca."
        )
    if first.startswith(_NETCDF) or end in (".nc", ".nc4", ".cdf", ".netcdf"):
        return (
            "It is a NetCDF file. Convert it once, in Python: "
            f'xarray.open_dataset("{name}", chunks={{}}).to_zarr("{stem}.zarr"), and use '
            f"{stem}.zarr."
        )
    if first.startswith(_HDF5):
        return (
            "It is an HDF5 file. Convert one of its arrays, in Python: dask.array.from_array("
            f'h5py.File("{name}")["NAME"]).to_zarr("{stem}.zarr"), and use {stem}.zarr.'
        )
    if first.startswith(_ARROW):
        return (
            "It is an Arrow file. Convert it once, in Python: "
            f'polars.scan_ipc("{name}").sink_parquet("{stem}.parquet"), then run `emdist ingest '
            f"{stem}.parquet {stem}.zarr`."
        )
    if first.startswith(_TIFF):
        return (
            f"It is a TIFF file. `emdist ingest {name} {stem}.zarr` converts a picture. Of a "
            "raster such as a GeoTIFF, keep coordinates and bands, in Python: "
            f'rioxarray.open_rasterio("{name}", chunks={{}}).to_dataset(name="bands")'
            f'.to_zarr("{stem}.zarr").'
        )
    known = [end for ends in plugins("emdist.ingest", "suffixes").values() for end in ends]
    if name.lower().endswith(tuple(known)):
        return f"Convert it to one with `emdist ingest {name} {stem}.zarr`."
    return f"`emdist ingest` converts files that end in {', '.join(sorted(known))}."


def folder_advice(path: Path) -> str:
    """Return what a folder is that was given in place of an array, and what to do."""
    with os.scandir(path) as entries:
        names = [entry.name for entry, _ in zip(entries, range(_LOOKED_AT), strict=False)]
    if any(name.lower().endswith(_PARQUET) for name in names):
        return (
            "It is a folder of Parquet files. Convert them to one array with "
            f"`emdist ingest {path.name} {path.stem}.zarr`, which reads them in natural order."
        )
    if below := next((found for end in _PARQUET for found in path.glob(f"*/*{end}")), None):
        return (
            "It is a folder of Parquet files in subfolders. Convert them to one array with "
            f"`emdist ingest '{path.name}/**/*{below.suffix}' {path.stem}.zarr`."
        )
    return "Give the path of a Zarr array, or make one with `emdist ingest`."


def sparse_advice(attributes: Any, what: str) -> str:
    """Return why a group is refused that holds a sparse matrix, or "" if it holds none."""
    kind = attributes.get("encoding-type") if hasattr(attributes, "get") else None
    if kind not in _SPARSE:
        return ""
    return (
        f"{what} is a sparse matrix in AnnData's encoding ({kind}), which emdist does not read. If "
        "it fits in memory when dense, write it as an array, in Python: zarr.create_array("
        '"dense.zarr", data=anndata.io.sparse_dataset(zarr.open_group(PATH, mode="r")).to_memory()'
        ".toarray()). Otherwise use a dense array of the same cells, such as obsm/X_pca."
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""
