"""Sizes of blocks in memory, and advice on how to make blocks smaller."""

from __future__ import annotations

from emdist.interfaces import Source
from emdist.store.chunks.layout import unit_rows
from emdist.store.sources.plan import ROW_BYTES, longest
from emdist.store.sources.references import open_checked
from emdist.store.sources.zarr_source import ZarrSource


def largest_block(source: Source) -> int:
    """Return the decoded bytes of the largest block. A row counts as at least `ROW_BYTES`."""
    return longest(source.bounds) * _row_bytes(source)


def smaller_blocks(source: Source, fitting: int) -> str:
    """Return advice, as a sentence, if only blocks of at most `fitting` bytes fit."""
    if fitting >> 20 <= 0:
        return "No block of useful size fits, so more memory is needed."
    if not isinstance(source, ZarrSource):
        return f"Set data.block_size to '{fitting >> 20} MiB' or less."
    row_bytes = _row_bytes(source)
    chunk = min(unit_rows(open_checked(source.ref)), source.shape[0]) * row_bytes
    if chunk <= fitting:
        return f"Set data.block_size to '{fitting >> 20} MiB' or less."
    rows = max(1, fitting // 2 // row_bytes)
    return (
        f"A block is at least one chunk, and a chunk of {source.ref} has "
        f"{-(-chunk >> 20)} MiB when decoded, so a smaller data.block_size does not help. Rechunk "
        f"the array, for example with dask.array: da.from_zarr('IN.zarr').rechunk(({rows}, -1))"
        ".to_zarr('OUT.zarr')."
    )


def _row_bytes(source: Source) -> int:
    # Rows that are prepared where they are read are in memory before and after.
    beside = int(getattr(source, "beside", 0))
    return max(source.shape[1] * source.dtype.itemsize + beside, ROW_BYTES)
