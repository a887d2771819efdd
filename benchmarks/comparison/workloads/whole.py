"""Workloads from nothing to labels: each program with its own defaults, warm, rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

#: Rows, features and clusters.
KMEANS = ((100_000, 16, 16), (100_000, 16, 64), (1_000_000, 16, 64), (100_000, 128, 1000))
MIXTURES = ((100_000, 16, 16), (500_000, 16, 8))
#: Standard deviation of the centres of clusters of width 1: neighbours overlap.
SPREAD = 1.5


def workloads(size: Size) -> Iterator[Workload]:
    """Yield K-means against all peers, and full Gaussian mixtures against scikit-learn."""
    cases = (
        *((*case, "kmeans", "K-means") for case in KMEANS),
        *((*case, "mixture", "Gaussian mixture, full") for case in MIXTURES),
    )
    for n, d, k, kind, title in cases:
        few = 3 if size.tiny else k
        data = Clusters(size.of(n, 1e-9 if size.tiny else 1.0, 60 * few), d, few, spread=SPREAD)
        peers = [Contender("sklearn", "scikit-learn", at_least=1, agrees=False)]
        if kind == "kmeans":
            peers += [
                Contender("onedal", "oneDAL", at_least=1, agrees=False),
                Contender("faiss", "faiss", agrees=False),
                Contender("dask_ml", "dask-ml", at_least=1, agrees=False),
            ]
        yield Workload(
            f"whole-{kind}-{n // 1000}k-{d}-{k}",
            f"{title}, from nothing to labels by default, {data}",
            "peers",
            f"whole_{kind}",
            partial(in_memory, data),
            tuple(peers),
            Contender("emdist", "emdist"),
            budget=2 * data.nbytes + 512 * MIB,
            repeats=3,
        )
