"""Writing labels, scores and responsibilities as Zarr, without reading or computing them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.comparison.files import all_files, nbytes, sync
from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.interfaces import Assigned, Block
from emdist.store.labels import OUTPUTS, label_writer
from emdist.store.location import Location
from emdist.sums import Sums

NEEDS = ("emdist",)

#: Components that responsibilities have a column for.
_COMPONENTS = 16


@cache
def _found(rows: int) -> Assigned:
    """Made-up assignments that look like real ones: mostly sure of a component."""
    rng = np.random.default_rng(0)
    resp = rng.dirichlet(np.full(_COMPONENTS, 0.1), rows).astype(np.float32)
    return Assigned(resp.argmax(axis=1).astype(np.int32), rng.standard_normal(rows), resp)


def label_chunks(work: Work) -> Iterator[bytes]:
    """What `label_rows` stores, chunk by chunk: its values, or the files that it makes of them."""
    if work.options.get("encoded"):
        place = work.scratch / "encoded.zarr"
        _write_all(work, place)
        yield from [file.read_bytes() for file in all_files(place)]
        shutil.rmtree(place)
        return
    found = _found(int(work.options["block_rows"]))
    for _ in range(int(work.options["blocks"])):
        for value in (found.labels, found.score, found.resp):
            assert value is not None
            yield np.ascontiguousarray(value).tobytes()


def _write_all(work: Work, place: Path) -> float:
    """All outputs of all blocks, on two threads; seconds, of the arrays' creation none."""
    rows, blocks = int(work.options["block_rows"]), int(work.options["blocks"])
    found, x = _found(rows), np.zeros((rows, 1), np.float32)
    sums = Sums({"score": np.zeros(()), "weight": np.ones(()), "count": np.zeros(_COMPONENTS)})
    bounds = tuple(range(0, rows * (blocks + 1), rows))
    writer = label_writer(Location(str(place)), tuple(OUTPUTS), bounds, _COMPONENTS, {})

    def write(i: int) -> None:
        writer.write(Block(i, bounds[i], x), found, sums)

    def all_blocks() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, range(blocks)))
        if work.options.get("synced"):
            sync(place)

    return timed(all_blocks)[0]


def label_rows(work: Work) -> Turn:
    """All outputs of all blocks, on two threads."""
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
