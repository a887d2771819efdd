"""Files to ingest that lie or unpack to gigabytes: the right rows or one error, and no memory.

All are met in one child in the cage of `spoilt_files`: it may not unpickle, start a process or
write elsewhere, nor take more than `ALLOWED` bytes for one of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.support.paths import ROOT, module

pytest.importorskip("pyarrow")
pytest.importorskip("PIL.Image")

from emdist.ingest import ingest
from tests.hostile.ingest_sources import HUGE, MAKERS, ROWS, beside_structs

ALLOWED = 128 << 20
NAN, INF = np.nan, np.inf


def _zeros(rows: int, features: int, dtype: str = "float64") -> tuple[tuple[int, int], str]:
    return (rows, features), dtype


#: What is no error: the rows, or for zeros alone how many, and of which type.
ANSWERS: dict[str, Any] = {
    "npy, holes": _zeros(HUGE // 8, 1),
    "npy, wide": _zeros(1, 1 << 18, "uint8"),
    "npy, NaN": np.array([[NAN, INF], [-0.0, 5e-324]]),
    "npz, zeros": _zeros(HUGE // 8, 1),
    "npz, zeros, columns first": _zeros(HUGE // 16, 2),
    "npz, a way out": ROWS.reshape(3, 60).T,
    "npz, an absolute name": ROWS.reshape(3, 60).T,
    "npz, a name of dots": ROWS.reshape(3, 60).T,
    "csv, zeros": _zeros((40 << 20) // 4, 2),
    "csv, 8000 columns": np.ones((40, 8000)),
    "csv, NaN": np.array([[NAN, INF], [NAN, -INF]]),
    "parquet, fixed lists": np.tile(np.array([1, 2], "f4"), (60, 1)),
    "parquet, an extension": np.arange(60.0)[:, None],
    "parquet, zeros": _zeros(HUGE // 8, 1),
    "parquet, one page of zeros": _zeros(HUGE // 8, 1),
    "parquet, wide": np.tile([[0.5], [1.5]], (1, 10_000)),
    "parquet, NaN": np.array([[NAN], [NAN], [INF]]),
    "png, as large as it says": _zeros(6000 * 6000, 1, "uint8"),
}

#: The error of the others, and words of it, by what the name begins with; the longest fits.
ERRORS: dict[str, tuple[str, str]] = {
    "npy": ("DataError", "not a readable NPY"),
    "npy, 2^60 rows": ("DataError", "is incomplete: it has 0 of"),
    "npy, 2^60 features": ("ShapeError", "1152921504606846976 columns"),
    "npy, no rows of 2^60": ("ShapeError", "columns, but emdist reads at most"),
    "npy, 2^60 rows of nothing": ("ShapeError", "no columns"),
    "npy, 2^60 rows of no bytes": ("DtypeError", "expected real numbers"),
    "npy, pickled": ("DtypeError", "emdist never loads"),
    "npy, cut": ("DataError", "986 of 1440 bytes"),
    "npy, too wide": ("ShapeError", "1000000 columns"),
    "npz": ("DataError", "not a readable NPZ"),
    "npz, zeros behind": ("DataError", "its header says 1440"),
    "npz, fewer bytes": ("DataError", "CRC"),
    "npz, more bytes": ("DataError", "is incomplete"),
    "npz, columns that": ("DataError", "is incomplete"),
    "npz, bzip2": ("DataError", r"method 12\); save it again"),
    "npz, lzma": ("DataError", r"method 14\); save it again"),
    "npz, encrypted": ("DataError", "encrypted"),
    "npz, many members": ("ShapeError", "3000 two-dimensional"),
    "npz, pickled": ("DtypeError", "emdist never loads"),
    "csv": ("ShapeError", "no line end in its first 2097152 bytes"),
    "csv, a long cell": ("ShapeError", "cannot be read as a row of a table"),
    "csv, a long name": ("ShapeError", "cannot be read as a row of a table"),
    "csv, a long line": ("ShapeError", "line of more than"),
    "csv, open quotes": ("ShapeError", "has a line of"),
    "csv, NUL": ("DtypeError", "text such as"),
    "csv, holes": ("ShapeError", "line of more than"),
    "csv, wide": ("ShapeError", "1000000 columns"),
    "csv, wide names": ("ShapeError", "no line end"),
    "csv, cut": ("DataError", "Truncated"),
    "parquet": ("DataError", "not a readable Parquet"),
    "parquet, a page": ("DataError", r"a page claims \d+ values in \d+ bytes"),
    "parquet, a dictionary": ("DataError", r"a page claims \d+ values in \d+ bytes"),
    "parquet, 2^60 rows": ("DataError", "and read 61"),
    "parquet, a long list": ("ShapeError", "33554432 columns"),
    "parquet, a footer of holes": ("DataError", "2147483647 bytes of metadata"),
    "parquet, a long name": ("DtypeError", r"1000000 characters"),
    "png": ("DataError", "not a readable image"),
    "png, 10^9 lines": ("DataError", "too large for Pillow"),
    "png, lines that are not": ("DataError", "fewer pixels than it claims"),
    "png, half of its lines": ("DataError", "fewer pixels than it claims"),
    "png, cut": ("DataError", "fewer pixels than it claims"),
    "tiff": ("ShapeError", "100 or more pages"),
    "jpg": ("DataError", "not a readable image"),
    "tif, cut": ("DataError", "is a TIFF file of 1 band of 1"),
    "bmp": ("DataError", "not a readable image"),
    "a pipe": ("ConfigError", "a pipe or a device"),
    "a device": ("ConfigError", "a pipe or a device"),
}


@dataclass(frozen=True)
class Found:
    """How one ended: "answer" or a class, its message, that one's length, bytes taken."""

    kind: str
    text: str
    length: int
    grown: int


def _ingested(folder: Path, sources: dict[str, Path]) -> dict[str, Found]:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("there is no /proc here to read a peak from")
    (folder / "tmp").mkdir()
    lines = [json.dumps([str(path), str(path.parent / "x.zarr")]) for path in sources.values()]
    done = subprocess.run(
        [*module("tests.hostile.ingest_child"), str(folder)],
        input="\n".join(lines), capture_output=True, text=True, timeout=250, check=False,
        env={
            **os.environ, "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"), "MALLOC_ARENA_MAX": "2",
        },
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    begun = [place for place in found if isinstance(place, str)]
    assert done.returncode == 0, f"{begun[-1:]}: {done.stderr[-3000:]}"
    assert not list((folder / "tmp").iterdir())
    ends = [Found(*end) for end in found if not isinstance(end, str)]
    return dict(zip(sources, ends, strict=True))


def _same(path: Path, wanted: Any) -> None:
    array = zarr.open_array(path, mode="r")
    if isinstance(wanted, np.ndarray):
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array[:], wanted)
        return
    shape, dtype = wanted
    assert (array.shape, str(array.dtype)) == (shape, dtype)
    for part in (array[:1000], array[-1000:]):
        assert not np.any(part)


def _error(name: str) -> tuple[str, str]:
    return ERRORS[max((begin for begin in ERRORS if name.startswith(begin)), key=len)]


def _place(folder: Path, name: str, make: Callable[[Path], Path]) -> Path:
    own = folder / re.sub(r"\W+", "_", name)
    own.mkdir()
    return make(own)


@pytest.mark.long
def test_hostile_sources_are_an_error_or_their_rows_within_the_memory(tmp_path: Path) -> None:
    sources = {name: _place(tmp_path, name, make) for name, make in MAKERS.items()}
    for name, found in _ingested(tmp_path, sources).items():
        print(name, found.kind, f"{found.grown >> 20} MiB", found.text[:200])
        assert found.grown < ALLOWED, name
        assert found.length < 2000, name
        target = sources[name].parent / "x.zarr"
        if name in ANSWERS:
            assert found.kind == "answer", (name, found)
            _same(target, ANSWERS[name])
        else:
            kind, words = _error(name)
            assert found.kind == kind, (name, found)
            assert re.search(words, found.text), (name, found)
            assert not list(target.parent.glob("x.zarr*")), name


def test_columns_that_are_stored_as_several_hide_no_other(tmp_path: Path) -> None:
    ingest(beside_structs(tmp_path), tmp_path / "x.zarr", columns=["a"])
    array = zarr.open_array(tmp_path / "x.zarr", mode="r")
    assert array.dtype == np.int64  # none is null: the statistics of this column say so
    np.testing.assert_array_equal(array[:, 0], np.arange(60))
