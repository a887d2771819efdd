"""Cost of a K-centroids pass for each dissimilarity, relative to K-means of the same size.

    python -m benchmarks.dissimilarity_cost [--rows 200000] [--features 32] [--components 16]

It measures the processor time of one E-step over one block in memory, on one thread, and takes the
best of three. Rows are drawn from (0, 1), where all dissimilarities are defined, and stored as
float32.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from emdist.composition.model import make_model
from emdist.inputs.plugins import plugins
from emdist.interfaces import Block, Spread
from emdist.settings.config import DISSIMILARITIES, ModelSection


def seconds(name: str, n: int, d: int, k: int) -> float:
    """Measure the processor seconds of one E-step."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.1, 0.9, (k, d))
    noise = rng.uniform(-0.1, 0.1, (n, d))
    x = (centres[rng.integers(0, k, n)] + noise).clip(1e-3, 1).astype(np.float32)
    options: dict[str, Any] = {"matrix": np.eye(d).tolist()} if name == "mahalanobis" else {}
    model = make_model(ModelSection(name="kcentroids", dissimilarity=name, options=options))
    zeros, mean, var = np.zeros(d), x.mean(axis=0, dtype=np.float64), x.var(axis=0)
    spread = Spread(zeros, mean, var.astype(np.float64), zeros, zeros + 1, var < 0, float(n))
    params = model.start(centres, spread)
    numerics = model.numerics(params, spread, x.dtype)
    taken = []
    for _ in range(4):  # The first one compiles kernels and is not counted.
        start = time.process_time()
        model.e_step(Block(0, 0, x), params, zeros, numerics)
        taken.append(time.process_time() - start)
    return min(taken[1:])


def main() -> None:
    """Print a row for each dissimilarity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--components", type=int, default=16)
    given = parser.parse_args()
    size = (given.rows, given.features, given.components)
    with threadpool_limits(1):
        unit = seconds("squared_euclidean", *size)
        print(f"squared_euclidean: {unit / given.rows * 1e9:.0f} ns a row")
        print("| dissimilarity | relative to K-means |\n|---|--:|")
        for name in sorted(plugins(DISSIMILARITIES, "dissimilarity")):
            print(f"| {name} | {seconds(name, *size) / unit:.1f} |", flush=True)


if __name__ == "__main__":
    main()
