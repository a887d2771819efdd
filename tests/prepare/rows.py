"""Rows for tests of preparing, and steps applied to all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdist.engines.threads import LocalEngine
from emdist.interfaces import Array, Engine
from emdist.prepare.learning import learn
from emdist.prepare.making import make_steps
from emdist.prepare.preparation import Preparation
from emdist.prepare.source import prepared
from emdist.store.sources.arrays import array_source


def correlated(n: int = 2000, d: int = 8, seed: int = 0, offset: float = 100.0) -> Array:
    """Rows of correlated features with spreads from 1 to `d`, away from zero."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return mixed * np.arange(1, d + 1) + offset * rng.normal(size=d)


def with_gaps(x: Array, share: float = 0.1, seed: int = 1) -> Array:
    """`x` with that share of its values missing."""
    gone = np.random.default_rng(seed).random(x.shape) < share
    return np.where(gone, np.nan, x)


def learned(
    x: Array,
    steps: list[Any],
    weight: Array | None = None,
    missing: bool = False,
    block_bytes: int = 20_000,
    engine: Engine | None = None,
) -> tuple[Preparation, Array]:
    """What `steps` learn from `x`, and the prepared rows."""
    source = array_source(x, weight, block_bytes, "missing" if missing else "raise")
    made = learn(make_steps(steps), source, engine or LocalEngine(2), missing)
    ready = prepared(source, made)
    assert len(ready) > 1 or len(x) < 200
    return made, np.concatenate([ready.read(i).x for i in range(len(ready))])
