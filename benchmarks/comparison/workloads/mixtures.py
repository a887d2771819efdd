"""Workloads of Gaussian and Bernoulli mixtures: one iteration, whole fits, and passes needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison.data import Clusters, in_memory
from benchmarks.comparison.sizes import Size
from benchmarks.comparison.workload import MIB, Contender, Workload

#: Covariance type, data type, target ratio.
KINDS = (
    ("full", "float64", 25),
    ("full", "float32", 35),
    ("tied", "float64", 25),
    ("diag", "float64", 5),
    ("spherical", "float64", 5),
)


def workloads(size: Size) -> Iterator[Workload]:
    """Yield all workloads of this module."""
    yield from _iterations(size)
    yield from _shares(size)
    yield from _fits(size)
    yield _bernoulli(size)


def _iterations(size: Size) -> Iterator[Workload]:
    d, k = (4, 3) if size.tiny else (32, 32)
    for kind, dtype, wanted in KINDS:
        data = Clusters(size.of(500_000, size.mixture_rows, 40 * k), d, k, dtype)  # type: ignore[arg-type]
        options = {"covariance": kind, "span": min(2, size.span), "dtype": dtype}
        make, task = partial(in_memory, data), "mixture_iteration"
        title = f"GMM {kind}, one iteration, {data}"
        # With poorly determined starts, results may differ in the last digits of float32.
        tolerance = {"bound": 1e-8 if dtype == "float64" else 1e-4}
        yield Workload(
            f"gmm-{kind}-{dtype}",
            title,
            "peers",
            task,
            make,
            (Contender("sklearn", "scikit-learn", at_least=wanted),),
            options=options,
            tolerances=tolerance,
            budget=2 * data.nbytes + 512 * MIB,
        )
        if kind == "full":
            rival = Contender("gemm", "its matrix products", at_least=0.6, agrees=False)
            yield Workload(
                f"gmm-{kind}-{dtype}-gemm", title, "limits", task, make, (rival,), options=options
            )


def _shares(size: Size) -> Iterator[Workload]:
    """Yield an iteration where each row belongs to one component, and one where all share it."""
    d, k = (4, 3) if size.tiny else (32, 32)
    for name, spread in (("separated", 6.0), ("overlapping", 0.3)):
        data = Clusters(
            size.of(500_000, size.mixture_rows, 40 * k),
            d,
            k,
            "float64",
            spread=spread,
            start="near",
        )
        yield Workload(
            f"gmm-{name}",
            f"GMM full, one iteration, {name} clusters, {data}",
            "peers",
            "mixture_iteration",
            partial(in_memory, data),
            (Contender("sklearn", "scikit-learn", at_least=25),),
            options={"covariance": "full", "span": min(2, size.span), "dtype": "float64"},
            tolerances={"bound": 1e-8},
            budget=2 * data.nbytes + 512 * MIB,
        )


def _fits(size: Size) -> Iterator[Workload]:
    d, k = (4, 3) if size.tiny else (16, 16)
    data = Clusters(size.of(100_000, size.fit_rows, 60 * k), d, k, "float64", spread=1.0)
    common = {"covariance": "full", "max_iter": 20 if size.tiny else 200}
    yield Workload(
        "gmm-fit",
        f"GMM full to convergence, {data}",
        "peers",
        "mixture_fit",
        partial(in_memory, data),
        (Contender("sklearn", "scikit-learn", at_least=25),),
        options={**common, "tol": 1e-4},
        tolerances={"bound": 1e-7, "iterations": 0},
        budget=2 * data.nbytes + 512 * MIB,
        repeats=2,
    )
    for schedule in ("squarem", "incremental"):
        yield Workload(
            f"gmm-passes-{schedule}",
            f"Passes of {schedule} to batch EM's likelihood, GMM full, {data}",
            "limits",
            "mixture_passes",
            partial(in_memory, data),
            (Contender("passes", "batch EM", {"schedule": "batch"}, at_least=2),),
            Contender("passes", "emdist", {"schedule": schedule}),
            # At least 16 blocks, so that groups of blocks can be made.
            options={**common, "tol": 1e-6, "block_size": f"{data.nbytes // 32} B"},
            unit="passes",
            repeats=1,
        )


def _bernoulli(size: Size) -> Workload:
    d, k = (16, 3) if size.tiny else (256, 20)
    data = Clusters(size.of(1_000_000, size.mixture_rows, 40 * k), d, k, bits=True)
    return Workload(
        "bernoulli",
        f"Bernoulli mixture, one iteration, {data}",
        "peers",
        "bernoulli_iteration",
        partial(in_memory, data),
        (Contender("numpy_em", "NumPy EM", at_least=4),),
        options={"span": min(2, size.span)},
        tolerances={"bound": 1e-5},
        budget=2 * data.nbytes + 512 * MIB,
    )
