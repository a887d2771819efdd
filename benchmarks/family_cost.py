"""Cost of an EM pass for each family, relative to K-means of the same size.

    python -m benchmarks.family_cost [--rows 200000] [--features 32] [--components 16] [--missing]

With ``--missing`` it prints what missing values cost, relative to the same family of complete rows:
if no value is missing, if a tenth of the cells is missing at random, and if a tenth is missing in
eight patterns.

It measures the processor time of one E-step over one block in memory, on one thread, and takes the
best of three. Rows are drawn from the family itself and stored as float32. K-medians is measured
once its brackets are narrow.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from emdist.composition.model import make_components, make_family, make_model
from emdist.errors import ConfigError
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Block, Floats, Spread
from emdist.settings.config import FAMILIES, ModelSection

OPTIONS: dict[str, dict[str, Any]] = {"binomial": {"trials": 9}, "categorical": {"categories": 4}}

#: Models whose clusters are centres alone.
CENTRES = ("kmeans", "kmedians")


def options_for(name: str, d: int) -> dict[str, Any]:
    """Return options of a family; a product is half diagonal and half Poisson."""
    if name != "product":
        return OPTIONS.get(name, {})
    halves = (("diagonal", f"0:{d // 2}"), ("poisson", f"{d // 2}:{d}"))
    return {"groups": [{"family": family, "columns": columns} for family, columns in halves]}


def seeds_for(family: Any, k: int, d: int, rng: np.random.Generator) -> Floats:
    """Draw (k, d) starting locations inside the family's domain."""
    if family.domain is None:
        return 3.0 * rng.standard_normal((k, d))
    low, high = np.maximum(family.domain.low, -20.0), np.minimum(family.domain.high, 20.0)
    return np.rint(rng.uniform(low, high, (k, d)))


def with_holes(x: Array, patterns: int | None) -> Array:
    """Return `x` with a tenth of its cells missing, at random or in `patterns` patterns of rows."""
    rng = np.random.default_rng(1)
    holes = rng.random((len(x) if patterns is None else patterns, x.shape[1])) < 0.1
    return np.where(holes[rng.integers(len(holes), size=len(x))], np.float32(np.nan), x)


def seconds(
    name: str, assignment: str, n: int, d: int, k: int, missing: str | None = None
) -> float:
    """Measure the processor seconds of one E-step; `missing`: "none", "random" or "patterns"."""
    rng = np.random.default_rng(0)
    like = "isotropic" if name in CENTRES else name
    options = options_for(name, d)
    family = make_family(ModelSection(name=like, options=options))
    zeros, ones = np.zeros(d), np.ones(d)
    spread = Spread(zeros, ones, ones, zeros, ones, ones > 0, float(n))
    seeds = seeds_for(family, k, d, rng)
    components = family.start(seeds, spread)
    rows = [family.sample(components, c, n // k, rng) for c in range(k)]
    x: Array = rng.permutation(np.concatenate(rows)).astype(np.float32)
    if missing in ("random", "patterns"):
        x = with_holes(x, 8 if missing == "patterns" else None)
    knows = missing is not None
    model = make_model(
        ModelSection(name=name, assignment=assignment, options=options, missing=knows)
    )
    params = model.start(seeds, spread)
    numerics = model.numerics(params, spread, x.dtype)
    for _ in range(3 if name == "kmedians" else 0):
        params = model.m_step(
            model.e_step(Block(0, 0, x), params, zeros, numerics), params, numerics
        )
    taken = []
    for _ in range(4):  # The first one compiles kernels and is not counted.
        start = time.process_time()
        model.e_step(Block(0, 0, x), params, zeros, numerics)
        taken.append(time.process_time() - start)
    return min(taken[1:])


def tell_missing(n: int, d: int, k: int) -> None:
    """Print what missing values cost in each family that supports them."""
    kinds = ("none", "random", "patterns")
    print("| family | nothing missing | 10 %, at random | 10 %, 8 patterns |\n|---|--:|--:|--:|")
    for name in ["kmeans", *sorted(plugins(FAMILIES, "family"))]:
        try:
            make_components(ModelSection(name=name, options=OPTIONS.get(name, {}), missing=True))
        except ConfigError:
            continue
        plain = seconds(name, "soft", n, d, k)
        costs = (seconds(name, "soft", n, d, k, kind) / plain for kind in kinds)
        print(f"| {name} | {' | '.join(f'{cost:.1f}' for cost in costs)} |", flush=True)


def main() -> None:
    """Print a row for each family."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--missing", action="store_true")
    given = parser.parse_args()
    size = (given.rows, given.features, given.components)
    with threadpool_limits(1):
        if given.missing:
            tell_missing(*size)
            return
        unit = seconds("kmeans", "soft", *size)
        print(f"kmeans: {unit / given.rows * 1e9:.0f} ns a row")
        print("| family | soft | hard |\n|---|--:|--:|")
        print(f"| kmedians | | {seconds('kmedians', 'hard', *size) / unit:.1f} |", flush=True)
        for name in sorted(plugins(FAMILIES, "family")):
            soft, hard = (seconds(name, how, *size) / unit for how in ("soft", "hard"))
            print(f"| {name} | {soft:.1f} | {hard:.1f} |", flush=True)


if __name__ == "__main__":
    main()
