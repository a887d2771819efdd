"""Measure the machine's rate of matrix products with the tiles of which an E-step consists."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.comparison.workload import Outcome, Turn, Work, timed
from emdist.kernels.tiles.tiles import tile_rows

NEEDS = ("numpy",)


#: As many threads as every contender has.
_THREADS = 2


def _products(rows: int, columns: int, k: int, dtype: str, back: bool) -> float:
    """Measure the seconds of the matrix products for all rows: of scores, and of sums if `back`.

    These are ``(k, columns) @ (columns, tile)`` and ``(k, tile) @ (tile, columns)``, tile by tile,
    on two threads with a single-threaded BLAS each. A last tile that is not full counts in part.
    """
    tile = tile_rows(columns + k, np.dtype(dtype).itemsize)
    # Measure at least a few products, so that starting up does not count.
    count = max(8, -(-rows // (tile * _THREADS)))

    def work(seed: int) -> float:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((tile, columns)).astype(dtype)
        eta = rng.standard_normal((k, columns)).astype(dtype)
        scores, sums = np.empty((k, tile), dtype), np.empty((k, columns), dtype)
        np.matmul(eta, x.T, out=scores)

        def all_tiles() -> None:
            for _ in range(count):
                np.matmul(eta, x.T, out=scores)
                if back:
                    np.matmul(scores, x, out=sums)

        return timed(all_tiles)[0]

    with threadpool_limits(1), ThreadPoolExecutor(_THREADS) as pool:
        seconds = max(pool.map(work, range(_THREADS)))
    return seconds * rows / (count * tile * _THREADS)


def lloyd_iteration(work: Work) -> Turn:
    """Measure the scores of all rows: one product of d features with k centres."""
    (n, d), dtype = np.load(work.files["x"], mmap_mode="r").shape, str(work.options["dtype"])
    k = len(work.start())

    def turn() -> Outcome:
        return _outcome(_products(n, d, k, dtype, False), 2.0 * n * d * k)

    return turn


def mixture_iteration(work: Work) -> Turn:
    """Measure scores and moments for full covariances: two products, d + d (d + 1) / 2 columns."""
    (n, d), dtype = np.load(work.files["x"], mmap_mode="r").shape, str(work.options["dtype"])
    k, columns = len(work.start()), d + d * (d + 1) // 2

    def turn() -> Outcome:
        return _outcome(_products(n, columns, k, dtype, True), 4.0 * n * columns * k)

    return turn


def _outcome(seconds: float, flops: float) -> Outcome:
    return Outcome(seconds, {"GFLOP/s": flops / seconds / 1e9})
