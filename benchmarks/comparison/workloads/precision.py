"""Workloads for ``precision: auto``: when it leaves float32, its cost, and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import Contender, Workload

#: Standard deviations of the centres; the clusters have width 1.
SPREADS = (1.0, 30.0, 1000.0)


def workloads(size: Size) -> Iterator[Workload]:
    """Yield clusters that are narrower and narrower in relation to the width of the data."""
    for spread in SPREADS:
        data = Clusters(size.of(400_000, size.mixture_rows, 500), 8, 8, spread=spread, start="near")
        yield Workload(
            f"precision-{spread:g}",
            f"precision auto, GMM diag, centres {spread:g} widths apart, {data}",
            "limits",
            "mixture_iteration",
            partial(in_memory, data),
            (Contender("precision", "float64", {"precision": "float64"}),),
            Contender("precision", "emdist", {"precision": "auto"}),
            options={"covariance": "diag", "span": size.span},
            # The documentation promises 6e-6 nats per feature.
            tolerances={"bound": 1e-5},
        )
