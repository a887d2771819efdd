"""Write labels, scores and responsibilities as Zarr, without reading data or computing them."""

from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.comparison.files import all_files, nbytes, sync
from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.interfaces import Assigned, Block
from emdist.store.labels.creation import label_writer
from emdist.store.places.location import Location
from emdist.sums import Sums

#: What is written.
OUTPUTS = ("labels", "score", "responsibilities")

NEEDS = ("emdist",)

#: Number of components, and so of columns of the responsibilities.
_COMPONENTS = 16


@cache
def _found(rows: int) -> Assigned:
    """Make random assignments that look like real ones: most rows clearly in one component."""
    rng = np.random.default_rng(0)
    resp = rng.dirichlet(np.full(_COMPONENTS, 0.1), rows).astype(np.float32)
    return Assigned(resp.argmax(axis=1).astype(np.int32), rng.standard_normal(rows), resp)


def label_chunks(work: Work) -> dict[str, bytes]:
    """Return what `label_rows` stores, by file name: bytes as stored, or those of the values.

    Equal chunks are the same object, because `label_rows` also stores one block again and again:
    the values are then equally likely to be in the processor's cache.
    """
    place = work.scratch / "encoded.zarr"
    _write_all(work, place)
    stored = {str(f.relative_to(place)): f for f in all_files(place) if f.name != "zarr.json"}
    if work.options.get("decoded"):
        found = _found(int(work.options["block_rows"]))
        outputs = dict(zip(OUTPUTS, (found.labels, found.score, found.resp), strict=True))
        whole = {name: np.asarray(value).tobytes() for name, value in outputs.items()}
        chunks = {name: whole.get(name.partition("/")[0]) for name in stored}
        kept = {name: chunk for name, chunk in chunks.items() if chunk is not None}
    else:
        kept, same = {}, dict[bytes, bytes]()
        for name, file in stored.items():
            chunk = file.read_bytes()
            kept[name] = same.setdefault(chunk, chunk)
    shutil.rmtree(place)
    return kept


def _write_all(work: Work, place: Path) -> float:
    """Write all outputs of all blocks on two threads; return seconds without creating arrays."""
    rows, blocks = int(work.options["block_rows"]), int(work.options["blocks"])
    found, x = _found(rows), np.zeros((rows, 1), np.float32)
    sums = Sums({"score": np.zeros(()), "weight": np.ones(()), "count": np.zeros(_COMPONENTS)})
    bounds = tuple(range(0, rows * (blocks + 1), rows))
    writer = label_writer(Location(str(place)), OUTPUTS, bounds, _COMPONENTS, {})
    if work.options.get("synced"):
        sync(place)

    def write(i: int) -> None:
        writer.write(Block(i, bounds[i], x), found, sums)

    def all_blocks() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, range(blocks)))
        if work.options.get("synced"):
            sync(place)

    return timed(all_blocks)[0]


def label_rows(work: Work) -> Turn:
    """Measure writing all outputs of all blocks, on two threads."""
    rows, blocks = int(work.options["block_rows"]), int(work.options["blocks"])
    decoded = rows * blocks * (4 + 8 + 4 * _COMPONENTS)
    rounds = itertools.count()

    def turn() -> Outcome:
        place = work.scratch / f"labels-{next(rounds)}.zarr"
        seconds, stored = _write_all(work, place), nbytes(place)
        shutil.rmtree(place)
        return Outcome(
            seconds, {"GB/s decoded": decoded / seconds / 1e9, "stored share": stored / decoded}
        )

    return turn
