"""Workloads of one Lloyd iteration, with shapes of data that are common in practice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

#: Rows, features, components; target ratios for scikit-learn, and for oneDAL and faiss.
SHAPES = (
    (8_000_000, 3, 16, 2.5, 1.5),
    (2_000_000, 16, 64, 2.5, 1.5),
    (2_000_000, 32, 100, 2.5, 1.5),
    (1_000_000, 64, 256, 2.5, 1.5),
    (200_000, 128, 1000, 1.4, 1.1),
)

#: Multiplications that take long enough for a few iterations to be timed. Cheaper iterations are
#: repeated up to `_MORE` times more, or what a fit does once would hide them.
_ENOUGH, _MORE = 6e9, 5


def workloads(size: Size) -> Iterator[Workload]:
    """Yield the five shapes, each also compared with the rate of its matrix product."""
    for rows, d, k, over_sklearn, over_others in SHAPES:
        k = min(k, 20) if size.tiny else k
        data = Clusters(size.of(rows, size.rows, 20 * k), d, k)
        name = f"lloyd-{d}x{k}"
        make = partial(in_memory, data)
        more = min(_MORE, math.ceil(_ENOUGH / (rows * d * k)))
        options = {"span": size.span if size.tiny else size.span * more, "dtype": data.dtype}
        budget = 2 * data.nbytes + 512 * MIB
        yield Workload(
            name,
            f"Lloyd iteration, {data}",
            "peers",
            "lloyd_iteration",
            make,
            rivals=(
                Contender("sklearn", "scikit-learn", at_least=over_sklearn),
                Contender("onedal", "oneDAL", at_least=over_others),
                Contender("faiss", "faiss", at_least=over_others),
            ),
            tolerances={"inertia": 1e-4},
            budget=budget,
            options=options,
        )
        yield Workload(
            f"{name}-gemm",
            f"Lloyd iteration, {data}",
            "limits",
            "lloyd_iteration",
            make,
            rivals=(Contender("gemm", "its matrix product", at_least=0.6, agrees=False),),
            options=options,
        )
