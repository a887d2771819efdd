"""Count how often fits read their data, with fits made from emdist's internal parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.comparison.workload import Absent, Work
from emdist.composition.make import make_fit, make_source, make_survey
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.fit.fit import Fit
from emdist.fit.start import Given
from emdist.inputs.plugins import plugins
from emdist.interfaces import Block, Source
from emdist.settings.config import SCHEDULES, DataSection, FitSection, ModelSection
from emdist.store.sources.arrays import array_source


class Counted:
    """A source that counts how often its blocks are read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, i: int) -> Block:
        """Read block `i` and count it."""
        with self._lock:
            self.reads += 1
        return self._source.read(i)

    @property
    def passes(self) -> float:
        """Number of passes: reads divided by the number of blocks."""
        return self.reads / len(self)


def counted_source(work: Work) -> Counted:
    """Open the data of a workload, from memory or Zarr, as a counted source."""
    path, size = work.files["x"], work.options.get("block_size")
    if path.suffix == ".zarr":
        return Counted(make_source(DataSection(path=str(path), block_size=size)))
    bytes_ = DataSection(path="-", block_size=size).block_bytes
    return Counted(array_source(work.array("x"), block_bytes=bytes_))


def has_schedule(name: str) -> None:
    """Raise Absent unless emdist has a schedule of this name."""
    if name not in plugins(SCHEDULES, "schedule"):
        raise Absent(f"emdist has no schedule {name!r} yet")


def fits(
    source: Source, models: list[ModelSection], section: FitSection, starts: list[Given]
) -> Iterator[Fit]:
    """Yield the fit of each model, and make its survey only then."""
    engine = LocalEngine()
    for model, given in zip(models, starts, strict=True):
        recipe = Recipe(model, section)
        survey = engine.map_reduce(make_survey(source, recipe), range(len(source)))
        yield make_fit(recipe, source, engine, survey, given)


def first_means(work: Work, k: int) -> Given:
    """Return the first `k` rows of the start as starting means."""
    return Given(np.asarray(work.start()[:k], np.float64))
