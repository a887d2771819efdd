"""A trial: the passes of a fit over some blocks, through the real engine, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.composition.caching import ahead_source, kept_source
from emdist.composition.footprint import sample_size
from emdist.composition.forecast import Stage, Trial
from emdist.composition.make import make_plan, make_space
from emdist.composition.model import default_seeder
from emdist.composition.recipe import Recipe
from emdist.composition.tolerances import make_stop
from emdist.engines.blas import one_thread
from emdist.fit.fit import Fit
from emdist.fit.fitted import result
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.fit.together.sweep import SweepState, advanced_together, surveyed_together
from emdist.interfaces import Engine, Floats, Source
from emdist.jobs.warming import share_kernels, warm
from emdist.prepare.learning import learn
from emdist.prepare.source import PreparedSource
from emdist.runtime.memory import available_memory
from emdist.settings.config import Config
from emdist.store.places.location import Location
from emdist.store.sources.sampled import SampledBlocks, spread_over
from emdist.sums import Sums

#: Iterations of a trial, and passes over its blocks: reads, surveys, iterations, labels.
_ITERATIONS, _PASSES = 3, 12
#: Blocks for each core in a trial, at most. More tell nothing new.
_MOST = 16
#: Bytes of a page: one value in each makes sure that a mapped block is read.
_PAGE = 4096


@dataclass(frozen=True)
class Idle:
    """Task that does nothing, for the fixed time of a pass."""

    source: Source

    def __call__(self, i: int) -> Sums:
        return Sums({"blocks": np.array(1.0)})


@dataclass(frozen=True)
class ReadOnce:
    """Task that reads a block and does nothing with it."""

    source: Source

    def __call__(self, i: int) -> Sums:
        x = self.source.read(i).x
        found = x.reshape(-1)[:: max(1, _PAGE // x.itemsize)].copy()
        return Sums({"blocks": np.array(float(len(found) > 0))})


@dataclass
class Clock:
    """An engine that notes how long its passes take. It changes with every pass.

    Attributes
    ----------
    engine
        The engine that does the work.
    passes, blocks, seconds
        The number of passes so far, of blocks in them, and the time that they took.
    """

    engine: Engine
    passes: int = 0
    blocks: int = 0
    seconds: float = 0.0

    def map_reduce(
        self, task: Callable[[int], Any], blocks: Sequence[int], done: Any = None
    ) -> Any:
        """Let the engine do it, and note the time."""
        began = time.monotonic()
        try:
            return self.engine.map_reduce(task, blocks, done)
        finally:
            self.seconds += time.monotonic() - began
            self.passes += 1
            self.blocks += len(blocks)

    def read(self) -> Floats:
        """Return the time now, and the passes, blocks and seconds so far: (4,)."""
        return np.array([time.monotonic(), self.passes, self.blocks, self.seconds])


@dataclass(frozen=True)
class Scale:
    """What is needed to divide measured times into those of stages.

    Attributes
    ----------
    blocks
        The number of blocks of the trial.
    fixed
        Seconds of a pass that does nothing.
    """

    blocks: int
    fixed: float

    def stage(self, spent: Floats, late: float = 0.0) -> Stage:
        """Return the stage that spent so much of what `Clock.read` returns.

        `late` is what a block of all data takes longer than one of the trial.
        """
        wall, passes, blocks, within = (max(0.0, float(value)) for value in spent)
        block = max(0.0, within - passes * self.fixed) / blocks if blocks else 0.0
        return Stage(max(0.0, wall - within), passes, blocks / self.blocks, block + late)


@dataclass(frozen=True)
class _Fitted:
    """The fits of a trial, and what they spent; see `Clock.read`."""

    fits: tuple[Fit, ...]
    state: SweepState
    survey: Floats
    seeding: Floats
    each: Floats


def tried(
    engine: Engine,
    config: Config,
    recipes: Sequence[Recipe],
    source: Source,
    given: Given,
    cores: int,
    seconds: float,
) -> tuple[Trial, int]:
    """Return what a trial measures, and the largest number of iterations of the fits.

    Parameters
    ----------
    engine
        The engine that will run the fits.
    config, recipes, source, given
        The fits, which share their passes.
    cores
        How many blocks are computed at once.
    seconds
        How long the trial may take, about.
    """
    began = time.monotonic()
    for one in recipes:
        # Kernels of the model and of its seeder, so that the trial times no compiler.
        for init in ("random", one.fit.init or default_seeder(one.section)):
            warm(one.section, source.dtype, source.shape[1], init)
    share_kernels(recipes, source, engine)
    fixed = min(_pass(engine, Idle(source), 1) for _ in range(3))
    few = SampledBlocks(source, spread_over(len(source), cores))
    cold = max(0.0, _pass(engine, ReadOnce(few), len(few)) - fixed) / len(few)
    count = _sized(recipes, source, few, cold, seconds)
    picked = spread_over(len(source), count)
    part = SampledBlocks(ahead_source(source, engine, config.cluster), picked)
    _pass(engine, ReadOnce(part), count)
    read = max(0.0, _pass(engine, ReadOnce(part), count) - fixed) / count
    ready, scale = _prepared(config, part, engine), Scale(count, fixed)
    found = _fit(recipes, ready, engine, given)
    label = _label(found, recipes, ready, engine)
    again = _again(config, recipes, source, picked, engine, given)
    # More data than memory, and those in an object store, are read as if for the first time.
    first = max(0.0, cold - read)
    late = 0.0 if _stays(source, config) else first
    each = scale.stage(found.each, late)
    in_memory = max(0.0, each.block - late - read) if again is None else scale.stage(again).block
    trial = Trial(
        count,
        time.monotonic() - began,
        fixed,
        read + late,
        min(in_memory, each.block),
        scale.stage(found.survey, first),
        scale.stage(found.seeding, late),
        each,
        scale.stage(label, late),
    )
    survey = found.fits[0].survey
    stops = [
        make_stop(one, one.fit, survey, make_space(one, survey).unit).max_iter for one in recipes
    ]
    # A stream ends with its online passes.
    streams = [
        getattr(one.schedule, "passes", most) if getattr(one.schedule, "stream", False) else most
        for one, most in zip(recipes, stops, strict=True)
    ]
    return trial, max(map(min, stops, streams))


def _pass(engine: Engine, task: Callable[[int], Sums], blocks: int) -> float:
    """Return the seconds of one pass."""
    return _timed(lambda: engine.map_reduce(task, range(blocks)))


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _sized(
    recipes: Sequence[Recipe], source: Source, few: SampledBlocks, cold: float, seconds: float
) -> int:
    """Return the number of blocks of the trial: a multiple of those that are computed at once.

    It has as many rows as starting values need, and more if time allows.
    """
    cores, rows = len(few), few.shape[0] / len(few)
    # Computing takes about as long as reading, or some nanoseconds for each value and component.
    work = sum(one.k for one in recipes) * source.shape[1] * rows * 1e-9 / cores
    affordable = int(seconds / _PASSES / max(1e-6, cold + work))
    needed = max(min(sample_size(source, one.k, one.fit), source.shape[0]) for one in recipes)
    count = max(-(-needed // max(1, int(rows))), min(affordable, _MOST * cores), cores)
    return min(len(source), -(-count // cores) * cores)


def _prepared(config: Config, part: Source, engine: Engine) -> Source:
    """Return the blocks of the trial as the fits see them."""
    if not config.steps:
        return part
    learned = learn(config.steps, part, engine, config.data.non_finite == "missing")
    return PreparedSource(part, learned)


def _fit(recipes: Sequence[Recipe], source: Source, engine: Engine, given: Given) -> _Fitted:
    """Fit to the blocks of the trial for a few iterations."""
    short = {"max_iter": _ITERATIONS, "tol": 0.0, "on_collapse": None}
    brief = [replace(one, fit=one.fit.model_copy(update=short)) for one in recipes]
    clock = Clock(engine)
    plans = [make_plan(one, source, clock, given) for one in brief]
    with one_thread():
        began = clock.read()
        surveys = surveyed_together([plan.survey for plan in plans], clock)
        times = [clock.read()]
        fits = tuple(
            plan.setup(plan.seen(survey)) for plan, survey in zip(plans, surveys, strict=True)
        )
        state = SweepState(tuple(FitState(plan.seed) for plan in plans))
        for reached, _ in advanced_together(fits, state, _unheard, _silent):
            state = reached
            times.append(clock.read())
    steps = np.diff(times, axis=0)
    each = np.median(steps[1:] if len(steps) > 1 else steps, axis=0)
    return _Fitted(fits, state, times[0] - began, steps[0] - each, each)


def _label(found: _Fitted, recipes: Sequence[Recipe], source: Source, engine: Engine) -> Floats:
    """Label the blocks of the trial by the largest model; return what was spent."""
    largest = max(range(len(recipes)), key=lambda i: recipes[i].k)
    fit, state = found.fits[largest], found.state.fits[largest]
    clock = Clock(engine)
    began = clock.read()
    if state.best is not None:
        made = result(state.best, fit.survey.spread, state.history)
        made.label(recipes[largest].model, source, clock)
    return clock.read() - began


def _again(
    config: Config,
    recipes: Sequence[Recipe],
    source: Source,
    picked: tuple[int, ...],
    engine: Engine,
    given: Given,
) -> Floats | None:
    """Return what an iteration spends that finds its blocks in memory; None if none are kept."""
    with kept_source(config.cluster, source, engine) as kept:
        if getattr(kept, "keep", None) is None:
            return None
        part = SampledBlocks(kept, picked)
        return _fit(recipes, _prepared(config, part, engine), engine, given).each


def _stays(source: Source, config: Config) -> bool:
    """Return whether the files of the data stay in the memory of the machine once they are read."""
    nbytes = source.shape[0] * source.shape[1] * source.dtype.itemsize
    return Location(config.data.path).is_local and nbytes < available_memory()


def _unheard(fit: int, event: Any) -> None:
    """Ignore the events of the fits."""


def _silent(fits: int, done: int, total: int) -> None:
    """Ignore the progress of a pass."""
