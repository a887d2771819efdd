"""Writing labels, scores and responsibilities as Zarr, without reading or computing them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.interfaces import Array, Assigned, Block
from emdist.store.labels import OUTPUTS, label_writer
from emdist.store.location import Location
from emdist.sums import Sums

NEEDS = ("emdist",)

#: Components that responsibilities have a column for.
_COMPONENTS = 16


def _found(rows: int) -> Assigned:
    """Made-up assignments that look like real ones: mostly sure of a component."""
    rng = np.random.default_rng(0)
    resp = rng.dirichlet(np.full(_COMPONENTS, 0.1), rows).astype(np.float32)
    return Assigned(resp.argmax(axis=1).astype(np.int32), rng.standard_normal(rows), resp)


def label_chunks(work: Work) -> Iterator[Array]:
    """What `label_rows` stores, chunk by chunk."""
    rows, blocks = int(work.options["block_rows"]), int(work.options["blocks"])
    found = _found(rows)
    for _ in range(blocks):
        for value in (found.labels, found.score, found.resp):
            assert value is not None
            yield value


def label_rows(work: Work) -> Turn:
    """All outputs of all blocks, on two threads."""
    rows, blocks = int(work.options["block_rows"]), int(work.options["blocks"])
    found, x = _found(rows), np.zeros((rows, 1), np.float32)
    sums = Sums({"score": np.zeros(()), "weight": np.ones(()), "count": np.zeros(_COMPONENTS)})
    bounds = tuple(range(0, rows * (blocks + 1), rows))
    size = blocks * sum(v.nbytes for v in (found.labels, found.score, found.resp) if v is not None)
    rounds = itertools.count()

    def turn() -> Outcome:
        place = work.scratch / f"labels-{next(rounds)}.zarr"
        writer = label_writer(Location(str(place)), tuple(OUTPUTS), bounds, _COMPONENTS, {})

        def write(i: int) -> None:
            writer.write(Block(i, bounds[i], x), found, sums)

        def all_blocks() -> None:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(write, range(blocks)))

        seconds, _ = timed(all_blocks)
        shutil.rmtree(place)
        return Outcome(seconds, {"GB/s": size / seconds / 1e9})

    return turn
