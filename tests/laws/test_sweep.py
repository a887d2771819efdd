"""Laws of fits that share their passes: each has the bits that it has alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from fitting import (
    ALL_FAMILIES,
    CENTRES,
    NOISY,
    Fitting,
    Setting,
    draw,
    prepare,
    same_bits,
)

from emdist.engines.local import LocalEngine
from emdist.fit.fit import Fit
from emdist.fit.loop import one_by_one
from emdist.fit.state import FitState
from emdist.fit.sweep import (
    SweepState,
    advanced_together,
)
from emdist.interfaces import Array, Block, Engine, Source
from emdist.store.arrays import array_source

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
