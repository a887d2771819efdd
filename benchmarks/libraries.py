"""What emdist's own code gains over the library that could take its place, in a user's seconds.

    python -m benchmarks.libraries [--rounds 7] [--only ROW ...]

Each row is a command. It runs as it is ("own") and with the library in place of one part of emdist
("library"), by turns, each time as a whole process. The ratio library / own is that of the wall
time. A part stays if the median ratio is 1.15 or more in one of its rows, or if a promise of
docs/reliability.md depends on it; see the section "Own code and libraries" of docs/benchmarks.md.

Rows whose library is not installed are left out, with a note.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison.data import Clusters, on_disk
from benchmarks.comparison.measuring import LIMITS, PAUSE, THREADS
from benchmarks.comparison.workload import MIB
from benchmarks.ratio import interval_of

#: The share of a user's wall time that own code must gain.
WORTH = 1.15


@dataclass(frozen=True)
class Row:
    """A command that runs with own code, and with a library in its place.

    Attributes
    ----------
    part
        What is compared: own code against a library.
    library
        Name of the function in `LIBRARIES` that puts the library in place.
    words
        Arguments of ``emdist``; {x} is the data, {scratch} a new folder, and {run} a finished run
        of the data.
    needs
        A package without which the row is left out.
    packed
        The data's compression: "zstd", "blosc" or "" for none.
    data
        The rows that are read.
    """

    name: str
    part: str
    library: str
    words: str
    data: Clusters
    packed: str = "zstd"
    needs: str = ""


def by_zarr() -> None:
    """Read all chunks through Zarr."""
    from emdist.store.sources import zarr_source

    patched: Any = zarr_source
    patched.chunk_files = lambda ref: None


def by_zarrs() -> None:
    """Read all chunks through Zarr with the codec pipeline of zarrs (Rust)."""
    import zarr

    from emdist.store.sources import references

    by_zarr()
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    # That pipeline knows codecs by their metadata and cannot take wrapped ones.
    patched: Any = references
    patched.bounded = lambda array: array


def labels_by_zarr() -> None:
    """Write labels through Zarr."""
    from emdist.store.chunks import writing

    writing._packing = lambda array: None


LIBRARIES: Mapping[str, Callable[[], None]] = {
    function.__name__: function for function in (by_zarr, by_zarrs, labels_by_zarr)
}

_LARGE = Clusters(8_000_000, 64, 16)
_FIT = "fit {x} -k 16 --init random --max-iter 9 --tol 0 --run {scratch}/run --no-labels --quiet"
_LABEL = "label {run} {x} {scratch}/labels.zarr --quiet"
_ALL = f"{_LABEL} -o labels -o responsibilities"
_WRITTEN = Clusters(8_000_000, 8, 32)

ROWS = (
    Row("zstd", "direct reading of Zstandard", "by_zarr", _FIT, _LARGE),
    Row("zstd-zarrs", "direct reading of Zstandard", "by_zarrs", _FIT, _LARGE, needs="zarrs"),
    Row("blosc", "direct reading of Blosc", "by_zarr", _FIT, _LARGE, "blosc"),
    Row("plain", "mapped reading of unpacked chunks", "by_zarr", _FIT, _LARGE, ""),
    Row("labels", "direct writing of labels", "labels_by_zarr", _LABEL, _WRITTEN, ""),
    Row("all", "direct writing of responsibilities", "labels_by_zarr", _ALL, _WRITTEN, ""),
)


def stored(row: Row, folder: Path) -> Path:
    """Return the data of a row, written if they are not there."""
    plain = on_disk(row.data, folder, 8 * MIB, compressed=row.packed == "zstd")["x"]
    if row.packed != "blosc":
        return plain
    import zarr
    from zarr.codecs import BloscCodec

    path = plain.with_name(plain.stem + "-blosc.zarr")
    if not path.exists():
        source: Any = zarr.open_array(plain, mode="r")
        zarr.create_array(path, data=source, chunks=source.chunks, compressors=BloscCodec())
    return path


def fitted(x: Path) -> Path:
    """Return a run of the data with 32 diagonal Gaussians after one iteration."""
    run = x.with_name(f"{x.stem}-run")
    if not run.exists():
        words = f"fit {x} -m diagonal -k 32 --init random --max-iter 1 --run {run} --no-labels"
        command = [sys.executable, "-m", "benchmarks.libraries", "--child", "own"]
        subprocess.run([*command, *words.split()], check=True, capture_output=True)
    return run


def seconds(row: Row, x: Path, library: str, folder: Path) -> float:
    """Return the wall time of one process."""
    run = fitted(x) if "{run}" in row.words else None
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        words = row.words.format(x=x, scratch=scratch, run=run).split()
        command = [sys.executable, "-m", "benchmarks.libraries", "--child", library, *words]
        began = time.perf_counter()
        done = subprocess.run(
            command, env={**os.environ, **LIMITS}, capture_output=True, text=True, check=False
        )
        taken = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{row.name}: exit code {done.returncode}: {done.stderr[-600:]}")
    return taken


def measured(row: Row, rounds: int, folder: Path) -> Iterator[str]:
    """Compare one row, and yield the line of its result."""
    x = stored(row, folder)
    sides: dict[str, list[float]] = {"own": [], row.library: []}
    for side in sides:
        seconds(row, x, side, folder)  # which compiles, and fills the page cache
    for at in range(rounds):
        for side in list(sides)[:: 1 if at % 2 else -1]:
            time.sleep(PAUSE)
            sides[side].append(seconds(row, x, side, folder))
    own, library = (sorted(each)[rounds // 2] for each in sides.values())
    found = interval_of([b / a for a, b in zip(*sides.values(), strict=True)])
    verdict = "worth it" if found.median >= WORTH else "not worth it"
    yield (
        f"{row.name:11} {row.part:36} own {own:6.2f} s  library {library:6.2f} s  "
        f"ratio {found.median:.2f} ({found.low:.2f}..{found.high:.2f})  {verdict}"
    )


def child(library: str, words: Sequence[str]) -> None:
    """Run ``emdist`` in this process, with the library in place if one is named."""
    if library != "own":
        LIBRARIES[library]()
    from emdist.cli.application import main

    sys.argv = ["emdist", *words]
    main()


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], help="names of rows")
    parser.add_argument("--folder", type=Path, default=Path("build/libraries"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(f"{THREADS} threads, {given.rounds} rounds")
    for row in ROWS:
        if given.only and row.name not in given.only:
            continue
        if row.needs and importlib.util.find_spec(row.needs) is None:
            print(f"{row.name}: left out, because {row.needs} is not installed")
            continue
        for line in measured(row, given.rounds, given.folder.resolve()):
            print(line, flush=True)


if __name__ == "__main__":
    main()
