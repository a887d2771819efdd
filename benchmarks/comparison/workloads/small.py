"""Workloads of few rows: the cost of a fit once warm, and in a new process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import Contender, Workload


def workloads(size: Size) -> Iterator[Workload]:
    """Yield a warm fit, against a limit and scikit-learn, and a first fit, cached or not."""
    data = Clusters(1000, 8, 8, "float64", spread=4.0)
    make = partial(in_memory, data)
    allowed = Contender("raw", "50 ms", {"seconds": 0.05}, task="allowed", at_least=1, agrees=False)
    yield Workload(
        "small-fit",
        f"Warm fit of K-means to convergence, {data}",
        "limits",
        "small_fit",
        make,
        (allowed, Contender("sklearn", "scikit-learn", agrees=False)),
    )
    if not size.tiny:  # Compilation takes half a minute.
        yield Workload(
            "first-fit",
            "First fit of a new process, compiled code in the cache",
            "limits",
            "first_fit",
            make,
            (Contender("first_fit", "nothing in the cache", {"cold": True}, agrees=False),),
            Contender("first_fit", "emdist", {"cold": False}),
            repeats=2,
        )
        for name, title in (("kmeans", "K-means"), ("full", "a full mixture")):
            yield Workload(
                f"first-start-{name}",
                f"Processor time of a first start over a cached one, {title}, {data}",
                "limits",
                "first_start",
                make,
                (replace(allowed, title="3 s", options={"seconds": 3.0}),),
                Contender("first_fit", "emdist"),
                options={"model": name},
            )
    yield Workload(
        "import",
        "A new process that imports KMeans",
        "peers",
        "import_time",
        make,
        (
            Contender(
                "first_fit",
                "scikit-learn",
                {"package": "sklearn.cluster"},
                at_least=1,
                agrees=False,
            ),
        ),
        Contender("first_fit", "emdist", {"package": "emdist"}),
    )
