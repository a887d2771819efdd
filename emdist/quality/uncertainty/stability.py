"""Stability of labels: how well replicates of a model label the same rows as the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.composition.recipe import Recipe
from emdist.fit.assigned import assigned
from emdist.fit.events import Listener, Progress, unheard
from emdist.fit.fitted import Fitted
from emdist.fit.resampled import Resampling, Scheme
from emdist.inputs.names import naming
from emdist.interfaces import Engine, Floats, Model, Numerics, Source
from emdist.quality.agreement import PairCounts, adjusted_rand
from emdist.quality.uncertainty.replicates import Refitted, Replicate, refitted
from emdist.sums import Sums

#: Both halves of the rows.
_HALVES: tuple[Scheme, ...] = ("half", "other half")
#: Objectives, in nats per row or relative to inertia, that are the same.
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Stability:
    """How well the labels of replicates agree.

    Attributes
    ----------
    over
        What the replicates differ in.
    agreement
        The adjusted Rand index of each replicate and the model; of both halves: (b,).
    overlap
        For each replicate and component, the Jaccard index of the component and of the most
        similar one of the replicate (Hennig 2007); NaN for a component without rows: (b, k).
    objectives
        The objective of each replicate, relative to that of the model refitted from where it
        ended; above 0 is better. Only starts have the same rows; else empty.
    rows, passes
        The number of rows, and of passes over them.
    """

    over: str
    agreement: Floats
    overlap: Floats
    objectives: Floats
    rows: int
    passes: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the percentiles between which agreement lies."""
        low, high = np.quantile(self.agreement, (0.5 - level / 2, 0.5 + level / 2))
        return float(low), float(high)

    @property
    def as_good(self) -> int:
        """The number of starts that are at least as good as the model, but for little."""
        return int((self.objectives >= -_SAME).sum())

    @property
    def better(self) -> int:
        """The number of starts that are better than the model."""
        return int((self.objectives > _SAME).sum())


@dataclass(frozen=True)
class AgreementStep:
    """The task that labels one block by several models, and counts pairs of labels.

    Attributes
    ----------
    source, model, origin
        The rows and the model, relative to the origin.
    params, numerics
        The parameters of each model, and how it computes.
    pairs
        Which two of the models are compared.
    """

    source: Source
    model: Model[Any]
    origin: Floats
    params: tuple[Any, ...]
    numerics: tuple[Numerics, ...]
    pairs: tuple[tuple[int, int], ...]

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        _, weight = block.valid()
        kept = slice(None) if weight is None else weight > 0
        labels, sizes = [], []
        for params, numerics in zip(self.params, self.numerics, strict=True):
            found = assigned(self.model, block, params, self.origin, numerics)
            k = len(params.shares)
            labels.append(found.labels[kept].astype(np.int64) % k)
            sizes.append(k)
        wide = max(sizes)
        counts = np.zeros((len(self.pairs), wide, wide))
        for n, (a, b) in enumerate(self.pairs):
            cells = np.bincount(labels[a] * wide + labels[b], minlength=wide * wide)
            counts[n] = cells.reshape(wide, wide)
        return Sums({"counts": counts})


def stability(
    recipe: Recipe,
    reference: Fitted,
    source: Source,
    engine: Engine,
    over: str,
    number: int,
    seed: int,
    listen: Listener = unheard,
) -> Stability:
    """Return how stable the labels of a fitted model are.

    Parameters
    ----------
    recipe, reference, source, engine, listen
        See `refitted`.
    over
        "starts": all rows, from new random starting values. "bootstrap": rows drawn with
        replacement, from the fitted model. "halves": two random halves of the rows, from the fitted
        model, which are compared with each other.
    number
        The number of replicates, or of pairs of halves.
    seed
        The random seed.
    """
    found = refitted(recipe, reference, source, engine, _replicates(over, number, seed), listen)
    first = found.replicates[0]
    # The first replicate of starts is the model itself, refitted by the same rules.
    models = list(found.replicates)
    if over == "halves":
        pairs = [(2 * b, 2 * b + 1) for b in range(number)]
    elif over == "starts":
        pairs = [(0, 1 + b) for b in range(number)]
    else:
        moved = reference.spread.origin - first.spread.origin
        models.append(_moved(found, moved))
        pairs = [(number, b) for b in range(number)]
    counts = _counts(found, models, pairs, engine, listen)
    agreement = np.array([adjusted_rand(_pairs(one)) for one in counts])
    k = reference.n_columns
    overlap = np.stack([_overlap(one)[:k] for one in counts])
    objectives = np.empty(0)
    if over == "starts":
        sign = -1.0 / max(abs(first.objective), 1e-300) if found.fit.model.minimises else 1.0
        objectives = sign * np.array([one.objective - first.objective for one in models[1:]])
    rows = int(counts[0].sum())
    return Stability(over, agreement, overlap, objectives, rows, found.passes + 1)


def _replicates(over: str, number: int, seed: int) -> list[Replicate]:
    if over == "starts":
        return [Replicate(), *(Replicate(None, seed + 1 + b) for b in range(number))]
    if over == "bootstrap":
        return [Replicate(Resampling("bootstrap", seed, b)) for b in range(number)]
    return [Replicate(Resampling(scheme, seed, b)) for b in range(number) for scheme in _HALVES]


def _moved(found: Refitted, by: Floats) -> Fitted:
    """Return the model itself, relative to the origin of the replicates."""
    own = found.reference
    return replace(
        own, params=found.fit.model.translate(own.params, by), spread=found.fit.survey.spread
    )


def _counts(
    found: Refitted,
    models: Sequence[Fitted],
    pairs: Sequence[tuple[int, int]],
    engine: Engine,
    listen: Listener,
) -> Floats:
    """Return the numbers of rows by their labels of two models, for each pair: (b, k, k)."""
    fit = found.fit
    params = tuple(one.params for one in models)
    numerics = tuple(fit.numerics(one) for one in params)
    task = AgreementStep(fit.source, fit.model, fit.origin, params, numerics, tuple(pairs))
    total = len(fit.source)
    with naming(fit.source):
        sums = engine.map_reduce(
            task, range(total), lambda done: listen(Progress("label", done, total))
        )
    counts: Floats = sums["counts"]
    return counts


def _pairs(table: Floats) -> PairCounts:
    first, second = np.nonzero(table)
    return PairCounts(first, second, table[first, second].astype(np.int64))


def _overlap(table: Floats) -> Floats:
    """Return the Jaccard index of each row of a table and the most similar column: (k,)."""
    either = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(either > 0, table / either, 0.0).max(axis=1)
    return np.where(table.sum(axis=1) > 0, found, np.nan)
