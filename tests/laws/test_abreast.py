"""Laws of fits that share their passes: each has the bits that it has alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import numpy as np
import pytest

from emdist.composition.make import make_survey
from emdist.composition.recipe import Recipe
from emdist.engines.threads import LocalEngine
from emdist.errors import CollapseError, ConfigError
from emdist.fit.events import Event, Warned
from emdist.fit.fit import Fit
from emdist.fit.loop import iterate, one_by_one
from emdist.fit.seeding import CHOOSING, CLUSTERING
from emdist.fit.state import FitState
from emdist.fit.together.bundle import Bundle, BundleResults, OneRead
from emdist.fit.together.sweep import (
    SweepState,
    advanced_together,
    decode_fits,
    encode_fits,
    surveyed_together,
)
from emdist.inputs.plugins import plugins
from emdist.interfaces import Array, Block, Engine, Source
from emdist.settings.config import SCHEDULES, FitSection, ModelSection
from emdist.store.runs.codec import encode
from emdist.store.sources.arrays import array_source
from tests.support.fitting import (
    ALL_FAMILIES,
    CENTRES,
    NOISY,
    Fitting,
    Setting,
    draw,
    prepare,
    same_bits,
)

MODELS = [*CENTRES, *ALL_FAMILIES, NOISY]


class Counting:
    """A source that counts its reads; it has state, the count."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reads: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, i: int) -> Block:
        self.reads.append(i)
        return self.source.read(i)


def data_for(name: str, n: int = 400) -> Array:
    x = draw("full" if name in CENTRES else name, n, 4, 3)[0]
    return x.astype(np.float32 if name == "full" else np.float64)


def weighted(x: Array) -> Source:
    """`x` in several blocks, one of them empty, with weights."""
    weight = np.random.default_rng(1).integers(0, 3, len(x)).astype(np.float64)
    x = x.astype(np.float64)
    x[30:75] = np.nan
    return array_source(x, weight, 35 * x.shape[1] * 8, "drop")


def alone(source: Source, setting: Setting, engine: Engine | None = None) -> Fitting:
    fit = prepare(source, setting, None, engine or LocalEngine(1))
    *_, last = one_by_one(fit, FitState(0))
    return Fitting(fit, last)


def together(fits: Sequence[Fit], state: SweepState | None = None, **more: Any) -> SweepState:
    first = state or SweepState(tuple(FitState(0) for _ in fits))
    *_, (last, _) = sweep(fits, first, **more)
    return last


def sweep(fits: Sequence[Fit], state: SweepState, **more: Any) -> Iterator[Any]:
    return advanced_together(
        fits, state, more.pop("listen", lambda *_: None), lambda *_: None, **more
    )


def fits_of(source: Source, settings: Sequence[Setting], engine: Engine) -> list[Fit]:
    return [prepare(source, setting, None, engine) for setting in settings]


@pytest.mark.parametrize("name", MODELS)
def test_each_fit_of_a_sweep_has_the_bits_that_it_has_alone(name: str) -> None:
    source = weighted(data_for(name))
    settings = [
        Setting(name, k, fit={"max_iter": 8, "tol": 1e-3, "n_init": 1 + (k == 3)})
        for k in (1, 2, 3, 5)
    ]
    for engine in (LocalEngine(1), LocalEngine(3)):
        fits = fits_of(source, settings, engine)
        state = together(fits)
        for setting, fit, found in zip(settings, fits, state.fits, strict=True):
            same_bits(Fitting(fit, found), alone(source, setting))


def served_by(schedule: str) -> str:
    """A mixture where the schedule serves such, else K-means."""
    try:
        Recipe(ModelSection(name="diagonal"), FitSection(schedule=schedule)).checked()
    except ConfigError:
        return "kmeans"
    return "diagonal"


@pytest.mark.covering
@pytest.mark.parametrize("schedule", sorted(plugins(SCHEDULES, "schedule")))
@pytest.mark.parametrize("init", ["k-means||", "kmeans", "random"])
def test_any_schedule_and_seeder_keeps_its_bits(schedule: str, init: str) -> None:
    name = served_by(schedule)
    source = weighted(data_for(name, 600))
    fit = {"schedule": schedule, "init": init, "max_iter": 9, "tol": 1e-4, "n_init": 2}
    settings = [Setting(name, k, fit=fit) for k in (1, 2, 4)]
    fits = fits_of(source, settings, LocalEngine(2))
    for setting, one, found in zip(settings, fits, together(fits).fits, strict=True):
        same_bits(Fitting(one, found), alone(source, setting))


@pytest.mark.long
def test_models_of_different_kinds_advance_together() -> None:
    source = weighted(data_for("full", 600))
    settings = [
        Setting("kmeans", 4, fit={"n_init": 3, "init": "random"}),
        Setting("kmedians", 3),
        Setting("full", 3, fit={"on_collapse": "reseed"}),
        Setting("full", 2, assignment="stochastic", fit={"max_iter": 8}),
        Setting("tied+noise", 2),
        Setting("diagonal", 5, assignment="hard"),
        Setting("diagonal", 2, fit={"schedule": "incremental"}),
    ]
    fits = fits_of(source, settings, LocalEngine(2))
    for setting, one, found in zip(settings, fits, together(fits).fits, strict=True):
        same_bits(Fitting(one, found), alone(source, setting))


def passes(source: Source, setting: Setting) -> int:
    """Reads of each block that a fit makes alone, after its survey."""
    fit = prepare(source, setting)
    counting = Counting(source)
    *_, _last = one_by_one(replace(fit, source=counting), FitState(0))
    return len(counting.reads) // len(source)


@pytest.mark.parametrize("name", ["kmeans", "diagonal"])
def test_blocks_are_read_as_often_as_by_the_longest_fit(name: str) -> None:
    source = weighted(data_for(name, 900))
    settings = [Setting(name, k, fit={"max_iter": 60, "tol": 1e-5}) for k in range(1, 9)]
    each = [passes(source, setting) for setting in settings]
    assert len(set(each)) > 2
    counting = Counting(source)
    fits = [replace(fit, source=counting) for fit in fits_of(source, settings, LocalEngine(2))]
    together(fits)
    assert sorted(counting.reads) == sorted(list(range(len(source))) * max(each))


def test_starts_share_their_reads_too() -> None:
    source = weighted(data_for("kmeans", 900))
    setting = Setting("kmeans", 5, fit={"n_init": 6, "init": "random"})
    each = passes(source, setting)
    fit, counting = prepare(source, setting), Counting(source)
    *_, last = iterate(replace(fit, source=counting), FitState(0))
    same_bits(Fitting(fit, last), alone(source, setting))
    assert len(counting.reads) < each * len(source) / 3


def test_a_survey_of_all_tells_each_what_its_own_would() -> None:
    x = data_for("full", 800)
    source = weighted(x)
    settings = [
        Setting("full", 3, options={"prior": {}}),
        Setting("diagonal", 7, fit={"sample_rows": 50}),
        Setting("poisson", 2, fit={"sample_rows": 300}),
        Setting("kmeans", 4, fit={"seed": 5}),
    ]
    d = x.shape[1]
    tasks = [make_survey(source, s.recipe_for(d)) for s in settings]
    counting = Counting(source)
    found = surveyed_together([replace(t, source=counting) for t in tasks], LocalEngine(2))
    assert len(counting.reads) == len(source)
    for task, survey in zip(tasks, found, strict=True):
        wanted = LocalEngine(1).map_reduce(task, range(len(source)))
        wanted = replace(wanted, distinct=wanted.distinct[: task.wanted])
        assert bits_of(replace(survey, distinct=wanted.distinct)) == bits_of(wanted)
        assert len(survey.distinct) == len(wanted.distinct)


def bits_of(value: Any) -> Any:
    arrays, meta = encode(value)
    return {name: array.tobytes() for name, array in arrays.items()}, meta


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_sweep_resumed_from_any_state_has_the_same_bits(n_init: int) -> None:
    source = weighted(data_for("full", 500))
    settings = [
        Setting("kmeans", 3, fit={"n_init": n_init, "init": "random"}),
        Setting("full", 2, fit={"n_init": n_init, "max_iter": 12, "tol": 1e-6}),
        Setting("diagonal", 5, fit={"n_init": n_init, "schedule": "squarem"}),
    ]
    first = SweepState(tuple(FitState(0) for _ in settings))
    fits = fits_of(source, settings, LocalEngine(1))
    states = [state for state, _ in sweep(fits, first)]
    assert [s.sequence for s in states] == sorted({s.sequence for s in states})
    types = [s.recipe_for(3).types for s in settings]
    for state in [first, *states[:: max(1, len(states) // 6)], states[-1]]:
        arrays, meta = encode_fits(state, alone=False)
        again = decode_fits({n: a.copy() for n, a in arrays.items()}, meta, types, alone=False)
        fits = fits_of(source, settings, LocalEngine(2))
        rest = [after for after, _ in sweep(fits, again)]
        last = (rest or [again])[-1]
        assert [bits_of(s) for s in last.fits] == [bits_of(s) for s in states[-1].fits]


def test_a_budget_of_memory_splits_passes_and_changes_no_bit() -> None:
    source = weighted(data_for("full", 500))
    settings = [Setting("full", k, fit={"max_iter": 4}) for k in (2, 3, 4, 5)]
    fits = fits_of(source, settings, LocalEngine(1))
    wanted = together(fits)
    counting = Counting(source)
    few = together([replace(fit, source=counting) for fit in fits], budget=1)
    assert [bits_of(s) for s in few.fits] == [bits_of(s) for s in wanted.fits]
    assert len(counting.reads) == sum(passes(source, s) for s in settings) * len(source)


def test_an_error_of_one_fit_ends_all_after_what_was_done_is_given() -> None:
    x = np.repeat(np.eye(3), 50, axis=0)
    source = array_source(x, None, 400)
    settings = [
        Setting("kmeans", 2),
        Setting("diagonal", 3, options={"reg_covar": 0.0}, fit={"on_collapse": "raise"}),
    ]
    fits = fits_of(source, settings, LocalEngine(1))
    before = set(threading.enumerate())
    done: list[SweepState] = []

    def all_of() -> None:
        done.extend(state for state, _ in sweep(fits, SweepState((FitState(0), FitState(0)))))

    with pytest.raises(CollapseError):
        all_of()
    assert done[-1].fits[0].history
    gone(before)


def gone(before: set[threading.Thread]) -> None:
    """Fail unless the threads of a sweep that began since then end."""
    own = [t for t in threading.enumerate() if t.name.startswith("emdist-fit")]
    for thread in set(own) - before:
        thread.join(30)
        assert not thread.is_alive()


def test_a_sweep_that_is_left_leaves_no_thread_behind() -> None:
    source = weighted(data_for("kmeans"))
    before = set(threading.enumerate())
    fits = fits_of(source, [Setting("kmeans", k) for k in (2, 3, 4)], LocalEngine(1))
    states = sweep(fits, SweepState(tuple(FitState(0) for _ in fits)))
    next(states)
    states.close()
    gone(before)


def test_warnings_come_from_the_thread_that_drives_with_the_fit_they_are_of() -> None:
    x = np.concatenate([np.zeros((40, 2)), np.random.default_rng(0).normal(size=(200, 2))])
    source = array_source(x)
    fit = {"on_collapse": "reseed", "tol": 0.0, "max_iter": 40}
    settings = [Setting("kmeans", 2), Setting("full", 6, min_weight=0.1, fit=fit)]
    heard: list[tuple[int, Event, int]] = []
    together(
        fits_of(source, settings, LocalEngine(1)),
        listen=lambda index, event: heard.append((index, event, threading.get_ident())),
    )
    assert heard
    # Seeding is told of where it takes long; passes never.
    heard = [one for one in heard if getattr(one[1], "what", "") not in (CHOOSING, CLUSTERING)]
    assert all(isinstance(event, Warned) for _, event, _ in heard)
    assert {(index, thread) for index, _, thread in heard} == {(1, threading.get_ident())}


@dataclass(frozen=True)
class Valid:
    """How many rows of a block count, and which arrays it was given."""

    source: Source

    def __call__(self, i: int) -> BundleResults:
        block = self.source.read(i)
        x, _ = block.valid()
        return BundleResults((Seen((id(x),)), len(block.rows())))


@dataclass(frozen=True)
class Seen:
    """Adds by joining."""

    ids: tuple[int, ...]

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.ids + other.ids)


def test_a_bundle_picks_the_rows_that_count_once_and_travels() -> None:
    source = OneRead(weighted(data_for("kmeans")))
    task = Bundle(source, (Valid(source), Valid(source)))
    for there in (task, cloudpickle.loads(cloudpickle.dumps(task))):
        found = LocalEngine(1).map_reduce(there, range(len(source)))
        one, other = found.parts
        assert one.parts[0].ids == other.parts[0].ids
        assert one.parts[1] == other.parts[1]
    assert there.tasks[0].source is there.source
    # Outside of a bundle it reads by itself.
    assert source.read(1).index == 1


@dataclass(frozen=True)
class Even:
    """Reads every other block."""

    source: Source

    def __call__(self, i: int) -> Seen:
        return Seen(() if i % 2 else (self.source.read(i).index,))


def test_a_block_that_no_task_of_a_bundle_asks_for_is_not_read() -> None:
    counting = Counting(weighted(data_for("kmeans")))
    source = OneRead(counting)
    task = Bundle(source, (Even(source), Even(source)))
    found = LocalEngine(2).map_reduce(task, range(len(source)))
    even = list(range(0, len(source), 2))
    assert [list(part.ids) for part in found.parts] == [even, even]
    assert sorted(counting.reads) == even
