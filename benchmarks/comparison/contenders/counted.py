"""Fits taken apart: how often they read their data, through the composition root."""

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
    """A source that counts how often its blocks are read. It has state: the count."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, i: int) -> Block:
        """Block `i`."""
        with self._lock:
            self.reads += 1
        return self._source.read(i)

    @property
    def passes(self) -> float:
        """Reads of all blocks."""
        return self.reads / len(self)


def counted_source(work: Work) -> Counted:
    """The data of a workload, in memory or Zarr."""
    path, size = work.files["x"], work.options.get("block_size")
    if path.suffix == ".zarr":
        return Counted(make_source(DataSection(path=str(path), block_size=size)))
    bytes_ = DataSection(path="-", block_size=size).block_bytes
    return Counted(array_source(work.array("x"), block_bytes=bytes_))


def has_schedule(name: str) -> None:
    """Absent unless emdist has a schedule of this name."""
    if name not in plugins(SCHEDULES, "schedule"):
        raise Absent(f"emdist has no schedule {name!r} yet")


def fits(
    source: Source, models: list[ModelSection], section: FitSection, starts: list[Given]
) -> Iterator[Fit]:
    """Each model's fit, surveyed when its turn comes."""
    engine = LocalEngine()
    for model, given in zip(models, starts, strict=True):
        recipe = Recipe(model, section)
        survey = engine.map_reduce(make_survey(source, recipe), range(len(source)))
        yield make_fit(recipe, source, engine, survey, given)


def first_means(work: Work, k: int) -> Given:
    """The first `k` rows of the start."""
    return Given(np.asarray(work.start()[:k], np.float64))
