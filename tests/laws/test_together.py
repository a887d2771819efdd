"""Laws of E-steps that are made together over one block: each has the bits that it has alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emdist.models.assignments as assignments
from emdist.engines.threads import LocalEngine
from emdist.fit.fit import Fit
from emdist.fit.loop import iterate
from emdist.fit.passes import EStep
from emdist.fit.state import FitState
from emdist.fit.together.bundle import Bundle, OneRead
from emdist.fit.together.sweep import SweepState, advanced_together
from emdist.interfaces import Array, Block, Floats, Numerics, Source
from emdist.models.together import Parted, e_steps
from emdist.store.sources.arrays import array_source
from emdist.sums import Sums
from tests.support.fitting import ALL_FAMILIES, CENTRES, NOISY, Setting, draw, prepare


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Mixtures in each compiled call for a block."""
    found: list[int] = []
    whole = assignments.posteriors

    def counted(x: Array, origin: Floats, mixtures: Sequence[Any], *more: Any) -> Iterator[Any]:
        found.append(len(mixtures))
        return whole(x, origin, mixtures, *more)

    monkeypatch.setattr(assignments, "posteriors", counted)
    return found


def rows_of(name: str) -> Array:
    return draw("full" if name in CENTRES else name, 500, 4, 3)[0]


def block_of(x: Array, seed: int = 3) -> Block:
    """Rows of which some do not count, with weights."""
    rng = np.random.default_rng(seed)
    x = np.ascontiguousarray(x)
    return Block(0, 0, x, rng.exponential(size=len(x)), rng.random(len(x)) < 0.8)


def part_of(source: Source, setting: Setting, numerics: Numerics | None = None) -> Parted:
    fit = prepare(source, setting)
    *_, state = iterate(replace(fit, stop=replace(fit.stop, max_iter=2)), FitState(0))
    params = state.best.params  # type: ignore[union-attr]
    return Parted(fit.model, params, numerics or fit.numerics(params))


def held_against_each_alone(parts: Sequence[Parted], block: Block, origin: Floats) -> None:
    found = e_steps(block, origin, parts)
    assert len(found) == len(parts)
    for part, sums in zip(parts, found, strict=True):
        alone = part.model.e_step(block, part.params, origin, part.numerics)
        assert sums.fields.keys() == alone.fields.keys()
        for name in alone:
            assert sums[name].tobytes() == alone[name].tobytes()


@pytest.mark.parametrize("name", [*CENTRES, *ALL_FAMILIES, NOISY])
def test_e_steps_have_the_bits_that_each_has_alone(name: str) -> None:
    x = rows_of(name)
    source = array_source(x)
    parts = [part_of(source, Setting(name, k)) for k in (3, 1, 7)]
    held_against_each_alone(parts, block_of(x), np.zeros(x.shape[1]))


@pytest.mark.long
def test_whatever_differs_is_told_apart(calls: list[int]) -> None:
    x = rows_of("full").astype(np.float32)
    source = array_source(x)
    single, double = Numerics("float32"), Numerics("float64")
    settings = [
        (Setting("diagonal", 2), single),
        (Setting("kmeans", 3), single),
        (Setting("diagonal", 7), double),
        (Setting("spherical", 3), single),
        (Setting("diagonal", 3, assignment="stochastic"), single),
        (Setting("diagonal", 4, assignment="tempered"), single),
        (Setting("full", 3), single),
        (Setting("diagonal", 2, assignment="hard"), single),
        (Setting("diagonal", 3), replace(double, centred=True)),
        (Setting("diagonal", 1, uniform=True), single),
        (Setting("variational_diagonal", 4), double),
    ]
    parts = [part_of(source, setting, numerics) for setting, numerics in settings]
    block, origin = block_of(x), np.array([0.5, -1.0, 0.25])
    calls.clear()
    e_steps(block, origin, parts)
    # Spherical and full; diagonal of float64, a posterior among them; diagonal of float32.
    assert sorted(calls) == [1, 1, 2, 4]
    held_against_each_alone(parts, block, origin)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_block_that_has_hardly_any_rows(rows: int) -> None:
    x = rows_of("diagonal")
    source = array_source(x)
    parts = [part_of(source, Setting("diagonal", k)) for k in (1, 4)]
    held_against_each_alone(parts, Block(0, 0, x[:rows]), np.zeros(3))


def fits_of(source: Source, name: str, ks: Sequence[int]) -> list[Fit]:
    fit = {"max_iter": 3, "tol": 0.0, "init": "random"}
    return [prepare(source, Setting(name, k, fit=fit), None, LocalEngine(1)) for k in ks]


@pytest.mark.parametrize("name", ["diagonal", "spherical", "full", "bernoulli"])
def test_members_of_a_sweep_are_scored_in_one_call_for_a_block(name: str, calls: list[int]) -> None:
    x = rows_of(name)
    source = array_source(x, block_bytes=100 * x.itemsize * x.shape[1])
    fits = fits_of(source, name, (1, 2, 3, 5))
    calls.clear()
    first = SweepState(tuple(FitState(0) for _ in fits))
    for _ in advanced_together(fits, first, lambda *_: None, lambda *_: None):
        pass
    assert calls == [len(fits)] * 3 * len(source)


def test_tasks_of_other_origins_are_not_mixed_up() -> None:
    x = rows_of("diagonal")
    source = OneRead(array_source(x))
    part = part_of(source, Setting("diagonal", 3), Numerics("float64"))
    origins = [np.zeros(3), np.ones(3), np.zeros(3)]
    tasks = [
        EStep(source, part.model, part.params, origin, part.numerics, shared)
        for origin, shared in zip(origins, (False, False, True), strict=True)
    ]
    tasks.append(replace(tasks[0], params=replace(part.params, weights=np.array([0.8, 0.1, 0.1]))))
    found = Bundle(source, tuple(tasks))(0).parts
    for task, sums in zip(tasks, found, strict=True):
        assert isinstance(sums, Sums)
        assert sums.equals(task(0))
    assert not found[0].equals(found[1])
    assert not found[0].equals(found[3])
