"""How much time preparing rows takes: beside a fit without it, and beside scikit-learn.

    python -m benchmarks.preparing [--rows 1000000] [--features 32] [--components 8] [--folder DIR]

Each time is the best of several rounds, which take turns, after one that is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.decomposition
import sklearn.preprocessing
import zarr

from emdist import GaussianMixture, KMeans
from emdist.interfaces import Array
from emdist.prepare import PCA, StandardScaler


def data(rows: int, features: int) -> Array:
    """Return correlated rows of float32 in ten clusters, away from zero."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(10, features))
    mixed = rng.normal(size=(features, features))
    found = np.empty((rows, features), np.float32)
    for a in range(0, rows, 100_000):
        m = min(100_000, rows - a)
        part = rng.normal(size=(m, features)) + centres[rng.integers(0, 10, m)]
        found[a : a + m] = part @ mixed + 50
    return found


def best(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each work in seconds."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for at in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if at:
                found[name].append(time.perf_counter() - began)
    return {name: min(times) for name, times in found.items()}


def of_fits(x: Any, components: int) -> dict[str, Callable[[], Any]]:
    """Return fits of ten iterations to `x`, without and with steps."""
    steps: list[Any] = ["standardise", {"pca": components}]
    mixture: dict[str, Any] = {
        "n_components": 10,
        "covariance_type": "diag",
        "init_params": "random",
        "max_iter": 10,
        "tol": 0,
        "random_state": 0,
    }
    kmeans: dict[str, Any] = {"init": "random", "n_init": 1, "max_iter": 10, "tol": 0}
    return {
        "kmeans": lambda: KMeans(10, random_state=0, **kmeans).fit(x),
        "kmeans, standardise": lambda: KMeans(
            10, random_state=0, prepare=["standardise"], **kmeans
        ).fit(x),
        "kmeans, standardise and pca": lambda: KMeans(
            10, random_state=0, prepare=steps, **kmeans
        ).fit(x),
        "diagonal mixture": lambda: GaussianMixture(**mixture).fit(x),
        "diagonal mixture, standardise and pca": lambda: GaussianMixture(
            **mixture, prepare=steps
        ).fit(x),
    }


def of_transformers(x: Array, components: int) -> dict[str, Callable[[], Any]]:
    """Return scaling and principal components of `x`, by scikit-learn and by emdist."""

    def theirs() -> None:
        z = sklearn.preprocessing.StandardScaler().fit_transform(x)
        sklearn.decomposition.PCA(components).fit_transform(z)

    def ours() -> None:
        PCA(components).fit_transform(StandardScaler().fit_transform(x))

    return {"scikit-learn, StandardScaler and PCA": theirs, "emdist, StandardScaler and PCA": ours}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    x = data(given.rows, given.features)
    print(f"{given.rows:,} rows x {given.features} float32, {x.nbytes / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = f"{folder}/x.zarr"
        chunk = max(1, min(given.rows, (4 << 20) // (4 * given.features)))
        zarr.create_array(path, data=x, chunks=(chunk, given.features))
        for where, one in (("in memory", x), ("zarr", path)):
            for name, seconds in best(of_fits(one, given.components), given.rounds).items():
                print(f"{where}: {name}: {seconds:.3f} s")
    for name, seconds in best(of_transformers(x, given.components), given.rounds).items():
        print(f"{name}: {seconds:.3f} s")


if __name__ == "__main__":
    main()
