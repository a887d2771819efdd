"""Compare a sweep over k, with shared reads, to one fit after another: ratios, and reads.

``python -m benchmarks.sweep [--megabytes 300] [--features 16] [--iterations 4] [--models 15]``

Both sides fit the same models to the same compressed Zarr array on disk, from the same random
seeds, with the same number of iterations. It checks that their results are bit-identical. A model
that is fitted alone has its own survey, as it has in a run. The ratio of CPU seconds is shown
beside that of wall time, because it does not depend on other work of the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from rich.console import Console
from rich.table import Table

from emdist.composition.make import make_fit, make_source, make_survey
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.fit.fit import Fit
from emdist.fit.loop import iterate
from emdist.fit.state import FitState
from emdist.fit.together.sweep import SweepState, advanced_together, surveyed_together
from emdist.interfaces import Block, Source
from emdist.settings.config import DataSection, FitSection, ModelSection
from emdist.store.runs.codec import encode
from emdist.sums import Sums

CODECS = {
    "zstd": zarr.codecs.ZstdCodec(level=3),
    "blosc-lz4": zarr.codecs.BloscCodec(cname="lz4", shuffle=zarr.codecs.BloscShuffle.bitshuffle),
}


class Counted:
    """A source that counts its reads."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        """Read block `i` and count it."""
        self.reads += 1
        return self.source.read(i)


@dataclass(frozen=True)
class Read:
    """Task that reads a block and does nothing with it."""

    source: Source

    def __call__(self, i: int) -> Sums:
        return Sums({"rows": np.array(float(len(self.source.read(i).x)))})


@dataclass(frozen=True)
class Took:
    """Seconds of wall time and of CPU time, and number of reads per block."""

    wall: float
    cpu: float
    reads: float


def measured(work: Callable[[], Any], source: Counted) -> tuple[Any, Took]:
    """Call `work`; return its result, and what it took."""
    source.reads = 0
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    took = Took(time.perf_counter() - wall, time.process_time() - cpu, source.reads / len(source))
    return found, took


def write(path: Path, codec: str, megabytes: int, features: int) -> float:
    """Write rows of 20 clusters, rounded to 0.01 as by instruments; return stored / decoded."""
    rng = np.random.default_rng(0)
    rows = megabytes * 1_000_000 // (4 * features) // 32 * 32
    array = zarr.create_array(
        path, shape=(rows, features), chunks=(rows // 32, features), dtype="f4",
        compressors=CODECS[codec],
    )  # fmt: skip
    centres = rng.normal(0, 3, (20, features))
    for part in range(0, rows, rows // 32):
        n = rows // 32
        x = centres[rng.integers(0, 20, n)] + rng.normal(size=(n, features))
        array[part : part + n] = np.round(x, 2).astype("f4")
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return stored / (rows * features * 4)


@dataclass(frozen=True)
class Case:
    """Models of one family, and the data to which they are fitted."""

    source: Counted
    models: Sequence[ModelSection]
    fit: FitSection
    engine: LocalEngine

    def alone(self) -> list[FitState]:
        """Survey the data and fit, for one model after another."""
        found = []
        for model in self.models:
            task = make_survey(self.source, Recipe(model, self.fit))
            survey = self.engine.map_reduce(task, range(len(self.source)))
            *_, last = iterate(self._fit(model, survey), FitState(0))
            found.append(last)
        return found

    def together(self) -> list[FitState]:
        """Survey the data and fit all models with shared reads."""
        tasks = [make_survey(self.source, Recipe(model, self.fit)) for model in self.models]
        surveys = surveyed_together(tasks, self.engine)
        fits = [self._fit(*one) for one in zip(self.models, surveys, strict=True)]
        first = SweepState(tuple(FitState(0) for _ in fits))
        *_, (last, _) = advanced_together(fits, first, _unheard, _unheard)
        return list(last.fits)

    def _fit(self, model: ModelSection, survey: Any) -> Fit:
        return make_fit(Recipe(model, self.fit), self.source, self.engine, survey)


def _unheard(*_: object) -> None:
    pass


def same(one: FitState, other: FitState) -> bool:
    """Return whether two fits ended with bit-identical results."""
    arrays, others = encode(one)[0], encode(other)[0]
    return arrays.keys() == others.keys() and all(
        arrays[name].tobytes() == others[name].tobytes() for name in arrays
    )


def compare(source: Source, name: str, asked: argparse.Namespace) -> tuple[str, ...]:
    """Measure one row of the table."""
    sizes = np.linspace(2, 30, asked.models).round().astype(int).tolist()
    counted = Counted(source)
    case = Case(
        counted,
        [ModelSection(name=name, n_components=k) for k in sizes],
        FitSection(max_iter=asked.iterations, tol=0.0, init="random"),
        LocalEngine(),
    )
    blocks = range(len(counted))
    _, read = measured(lambda: case.engine.map_reduce(Read(counted), blocks), counted)
    best: dict[str, Took] = {}
    ends: dict[str, list[FitState]] = {}
    for _ in range(asked.repeats):
        for side in ("together", "alone"):
            ends[side], took = measured(getattr(case, side), counted)
            best[side] = min(best.get(side, took), took, key=lambda t: t.wall)
    if not all(map(same, ends["alone"], ends["together"])):
        raise SystemExit(f"{name}: fits together differ from fits alone")
    alone, together = best["alone"], best["together"]
    return (
        f"{read.wall:.2f} s",
        f"{alone.wall:.1f} s, {alone.reads:.0f} reads",
        f"{together.wall:.1f} s, {together.reads:.0f} reads",
        f"{alone.wall / together.wall:.2f}",
        f"{alone.cpu / together.cpu:.2f}",
    )


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--features", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--models", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--codec", nargs="+", choices=list(CODECS), default=list(CODECS))
    asked = parser.parse_args()
    table = Table("data", "model", "one read", "alone", "together", "ratio", "CPU ratio")
    with tempfile.TemporaryDirectory(prefix="emdist-sweep-") as folder:
        for features in asked.features:
            for codec in asked.codec:
                path = Path(folder) / f"{codec}-{features}.zarr"
                share = write(path, codec, asked.megabytes, features)
                data = f"{asked.megabytes} MB x {features}, {codec} to {share:.0%}"
                source = make_source(DataSection(path=str(path), block_size="16 MiB"))
                for name in ("kmeans", "diagonal"):
                    table.add_row(data, name, *compare(source, name, asked))
    console = Console(width=140)
    console.print(table)
    console.print(f"{asked.models} values of k from 2 to 30; the same bits on both sides")


if __name__ == "__main__":
    main()
