"""Workloads of K-means until no label changes, from the same start, and reads of pruned K-means."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

MAX_ITER = 300
#: Name, standard deviation of the centres (clusters have width 1), and target ratio of passes:
#: those of Lloyd over those of pruned K-means.
KINDS = (("separated", 4.0, 5.0), ("overlapping", 0.7, 2.0))
#: Further shapes, of clusters that touch: rows, features, clusters, iterations at most, and the
#: target ratio to peers.
SHAPES = (
    (100_000, 16, 64, MAX_ITER, 2.5),
    (2_000_000, 32, 100, MAX_ITER, 4.0),
    (1_000_000, 64, 256, 20, 2.5),
    (100_000, 128, 1000, 20, 1.5),
)


def workloads(size: Size) -> Iterator[Workload]:
    """Yield separated and overlapping clusters: time against all peers, reads against Lloyd."""
    yield from _shapes(size)
    k = 5 if size.tiny else 64
    for kind, spread, reads in KINDS:
        data = Clusters(size.of(500_000, size.fit_rows, 20 * k), 16, k, spread=spread)
        options = {"max_iter": 20 if size.tiny else MAX_ITER}
        pruned = {"schedule": "pruned"}
        yield Workload(
            f"kmeans-{kind}",
            f"K-means to convergence, {kind}, {data}",
            "peers",
            "kmeans_fit",
            partial(in_memory, data),
            (
                Contender("sklearn", "scikit-learn", at_least=4),
                Contender("sklearn", "scikit-learn, Elkan", {"algorithm": "elkan"}, at_least=4),
                Contender("onedal", "oneDAL", at_least=4),
                Contender("faiss", "faiss", at_least=4),
                Contender("emdist", "emdist, plain Lloyd", {"schedule": "batch"}),
                Contender("emdist", "emdist, pruned from the start", pruned),
            ),
            Contender("emdist", "emdist"),
            options=options,
            tolerances={"inertia": 1e-4, "labels": 0.01},
            budget=2 * data.nbytes + 512 * MIB,
        )
        yield Workload(
            f"pruned-reads-{kind}",
            f"Passes of pruned K-means, {kind}, {data}",
            "limits",
            "kmeans_passes",
            partial(in_memory, data),
            (Contender("passes", "Lloyd", {"schedule": "batch"}, at_least=reads),),
            Contender("passes", "emdist", pruned),
            options=options,
            tolerances={"inertia": 1e-9, "iterations": 0},
            unit="passes",
            repeats=1,
        )


def _shapes(size: Size) -> Iterator[Workload]:
    """Yield fits of other shapes; not fewer rows at smaller sizes, or the bounds would not pay."""
    for n, d, k, most, wanted in SHAPES:
        few = 5 if size.tiny else k
        rows = 20 * few if size.tiny else n
        data = Clusters(rows, d, few, spread=0.7 if d == 16 else 1.0)
        yield Workload(
            f"converges-{n // 1000}k-{d}x{k}",
            f"K-means to convergence, at most {most} iterations, {data}",
            "peers",
            "kmeans_fit",
            partial(in_memory, data),
            (
                Contender("sklearn", "scikit-learn", at_least=wanted),
                Contender("onedal", "oneDAL", at_least=wanted),
                Contender("emdist", "emdist, plain Lloyd", {"schedule": "batch"}),
                Contender("emdist", "emdist, pruned from the start", {"schedule": "pruned"}),
            ),
            options={"max_iter": 20 if size.tiny else most},
            tolerances={"inertia": 1e-4, "labels": 0.01},
            budget=2 * data.nbytes + 512 * MIB,
            repeats=3,
        )
