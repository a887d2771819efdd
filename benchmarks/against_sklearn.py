"""One iteration of emdist and of scikit-learn on the same data, alternating, as ratios.

``python -m benchmarks.against_sklearn`` prints medians over a few repeats. Absolute times mean
little on shared machines; the ratio within one run does.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn.cluster
import sklearn.mixture

import emdist
from emdist.interfaces import Array


@dataclass(frozen=True)
class Workload:
    """One size to measure.

    Attributes
    ----------
    name
        "kmeans", or scikit-learn's covariance type.
    rows, features, components
        Of the data and the model.
    dtype
        Of the data.
    """

    name: str
    rows: int
    features: int
    components: int
    dtype: str

    def __str__(self) -> str:
        size = f"{self.rows:,} x {self.features}, k={self.components}, {self.dtype}"
        return f"{'K-means' if self.name == 'kmeans' else 'GMM ' + self.name} {size}"


WORKLOADS = (
    Workload("kmeans", 2_000_000, 16, 64, "float32"),
    Workload("kmeans", 2_000_000, 32, 100, "float32"),
    Workload("full", 500_000, 32, 32, "float64"),
    Workload("full", 500_000, 32, 32, "float32"),
    Workload("tied", 500_000, 32, 32, "float64"),
    Workload("diag", 500_000, 32, 32, "float64"),
    Workload("spherical", 500_000, 32, 32, "float64"),
)


def make(work: Workload, seed: int = 0) -> Array:
    """Overlapping Gaussian clusters (rows, features)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=2.0, size=(work.components, work.features))
    x = rng.standard_normal((work.rows, work.features))
    x += centres[rng.integers(work.components, size=work.rows)]
    return x.astype(work.dtype)


def iterations(work: Workload, x: Array, ours: bool, n: int) -> Callable[[], object]:
    """A fit of exactly `n` iterations from the first rows, ours or scikit-learn's."""
    start, k = x[: work.components].astype(np.float64), work.components
    if work.name == "kmeans":
        kmeans = emdist.KMeans if ours else sklearn.cluster.KMeans
        return lambda: kmeans(k, init=start.astype(x.dtype), n_init=1, max_iter=n, tol=0).fit(x)
    mixture = emdist.GaussianMixture if ours else sklearn.mixture.GaussianMixture
    variance = x.var(axis=0, dtype=np.float64)
    precisions = {
        "full": np.tile(np.diag(1 / variance), (k, 1, 1)),
        "tied": np.diag(1 / variance),
        "diag": np.tile(1 / variance, (k, 1)),
        "spherical": np.full(k, 1 / variance.mean()),
    }[work.name]
    given: dict[str, Any] = {
        "means_init": start.astype(x.dtype),
        "weights_init": np.full(k, 1 / k, x.dtype),
        "precisions_init": precisions.astype(x.dtype),
    }
    return lambda: mixture(k, covariance_type=work.name, tol=0, max_iter=n, **given).fit(x)


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()
    return time.perf_counter() - began


def per_iteration(work: Workload, x: Array, ours: bool) -> float:
    """Seconds of one iteration: a fit of three less a fit of one, so that start-up cancels."""
    longer = seconds(iterations(work, x, ours, 3))
    shorter = seconds(iterations(work, x, ours, 1))
    return max(longer - shorter, 1e-9) / 2


def measure(work: Workload, repeats: int) -> tuple[float, float]:
    """Median seconds per iteration of scikit-learn and of emdist, measured in turn."""
    x = make(work)
    seconds(iterations(work, x[: 20 * work.components], True, 1))
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(per_iteration(work, x, False))
        ours.append(per_iteration(work, x, True))
    return statistics.median(theirs), statistics.median(ours)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    given = parser.parse_args()
    print("| one iteration | scikit-learn | emdist | ratio |\n|---|--:|--:|--:|")
    for work in WORKLOADS:
        rows = max(20 * work.components, int(work.rows * given.scale))
        sized = Workload(work.name, rows, work.features, work.components, work.dtype)
        theirs, ours = measure(sized, given.repeats)
        print(f"| {sized} | {theirs:.3f} s | {ours:.3f} s | {theirs / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
