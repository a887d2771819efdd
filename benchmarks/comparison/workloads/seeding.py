"""Workloads of seeders: the time in which they choose starting centres, in iterations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

#: Rows, features, components.
SHAPES = (
    (2_000_000, 3, 16),
    (2_000_000, 16, 64),
    (50_000, 128, 1000),  # 50 rows for each cluster
    (200_000, 128, 1000),
    (200_000, 128, 10_000),
)
SEEDERS = ("k-means++", "k-means||", "kmeans")
#: The number of iterations whose time a seeder may take.
_ITERATIONS = 5


def workloads(size: Size) -> Iterator[Workload]:
    """Yield each seeder at three shapes, held against the time of five iterations."""
    for rows, d, k in SHAPES[:1] if size.tiny else SHAPES:
        # Not fewer rows at smaller sizes: a cluster of a dozen rows would measure something else.
        data = Clusters(400, d, 20) if size.tiny else Clusters(rows, d, k)
        for name in SEEDERS:
            yield Workload(
                f"seeding-{name.replace('||', '-parallel')}-{rows // 1000}k-{d}x{k}",
                f"Seeds by {name}, {data}",
                "limits",
                "seeding",
                partial(in_memory, data),
                (
                    Contender(
                        "emdist",
                        f"{_ITERATIONS} iterations",
                        {"iterations": _ITERATIONS},
                        task="iterations",
                        at_least=1,
                        agrees=False,
                    ),
                ),
                options={"init": name, "span": 1},
                budget=2 * data.nbytes + 1024 * MIB,
                repeats=3,
                note="one fit from seeds less one from given centres",
            )
