"""What pruning saves K-means until it converges: rows scored, blocks read, processor time.

    python -m benchmarks.pruned --rows 400000

It measures processor time and not wall time, on one thread. Both schedules alternate, and every fit
starts from the same centres.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emdist.composition.make import make_fit, make_survey
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.fit.events import Event, Pruning
from emdist.fit.loop import iterate
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.interfaces import Source
from emdist.settings.config import FitSection, ModelSection
from emdist.store.sources.arrays import ArraySource, array_source

#: (standard deviation of the centres, features, clusters); clusters have standard deviation 1.
CASES = ((3.0, 16, 64), (1.0, 16, 64), (1.0, 3, 16), (1.0, 32, 100))


@dataclass(frozen=True)
class Streamed(ArraySource):
    """Rows in memory that the schedule treats as if each block had to be read from storage."""


@dataclass(frozen=True)
class Outcome:
    """The result of one fit: iterations, processor seconds, and reads and scored rows in passes."""

    iterations: int
    seconds: float
    read: float
    scored: float


def fitted(source: Source, schedule: str, start: NDArray[np.float64], memo: int) -> Outcome:
    """Fit K-means until no row changes its cluster."""
    model = ModelSection(name="kmeans", n_components=len(start))
    options = {"memo_bytes": memo} if schedule == "pruned" else {}
    section = FitSection(schedule=schedule, schedule_options=options, tol=0.0)
    engine, told = LocalEngine(1), list[Event]()
    recipe = Recipe(model, section)
    survey = engine.map_reduce(make_survey(source, recipe), range(len(source)))
    fit = make_fit(recipe, source, engine, survey, Given(start))
    began = time.process_time()
    *_, last = iterate(replace(fit, listen=told.append), FitState(0))
    seconds = time.process_time() - began
    passes = [event for event in told if isinstance(event, Pruning)]
    assert last.best is not None
    return Outcome(
        last.best.iterations,
        seconds,
        sum(event.read / event.blocks for event in passes),
        sum(event.scored / event.rows for event in passes),
    )


def rows(n: int, d: int, k: int, apart: float) -> NDArray[np.float32]:
    """Draw rows of `k` clusters that have the same width."""
    rng = np.random.default_rng([n, d, k])
    centres = apart * rng.standard_normal((k, d))
    drawn = centres[rng.integers(0, k, n)] + rng.standard_normal((n, d))
    return np.asarray(drawn, np.float32)


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print("| apart | d | k | iterations | scored | batch / pruned | memory / data: reads |")
    print("|--:|--:|--:|--:|--:|--:|---|")
    for apart, d, k in CASES:
        x = rows(asked.rows, d, k, apart)
        start = x[:k].astype(np.float64)
        source = array_source(x)
        ratios = []
        for _ in range(asked.repeats):
            plain = fitted(source, "batch", start, 0)
            found = fitted(source, "pruned", start, 1 << 30)
            ratios.append(plain.seconds / found.seconds)
        streamed = Streamed(x, None, source.bounds)
        reads = []
        for share in (0.1, 0.3, 0.6):
            memo = int(26 * len(x) + share * x.nbytes)
            again = fitted(streamed, "pruned", start, memo)
            reads.append(f"{memo / x.nbytes:.1f}: {again.read:.0f}")
        print(
            f"| {apart:g} | {d} | {k} | {found.iterations} | {found.scored:.1f} | "
            f"{np.median(ratios):.1f} | {', '.join(reads)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
