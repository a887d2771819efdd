"""Fitted models side by side: what each is worth by every criterion, and which is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emdist.build_model import CENTRES, free_parameters
from emdist.config import ModelSection
from emdist.fit.criteria import CRITERIA, Judged
from emdist.fit.fitted import Fitted
from emdist.fit.state import Status
from emdist.fit.sweep import Score


@dataclass(frozen=True)
class Row:
    """One model of a sweep, in numbers.

    Attributes
    ----------
    name
        Of the model within the sweep.
    family, n_components
        What was fitted, and components asked for.
    left
        Components after the collapse policy.
    objective
        Inertia, or log-likelihood or bound per unit of weight (nats), as the fit reports it.
    score
        Of the final model on all rows: inertia, or log-likelihood per unit of weight (nats).
    criteria
        By name; NaN where a model has none.
    iterations, start
        Of the best start.
    converged
        Whether it stopped before max_iter.
    """

    name: str
    family: str
    n_components: int
    left: int
    objective: float
    score: float
    criteria: dict[str, float]
    iterations: int
    start: int
    converged: bool


def judged(section: ModelSection, fitted: Fitted, score: Score, deviations: float) -> Judged:
    """What criteria are computed from; `deviations` as `Judged` has it."""
    k = fitted.n_components
    mixture = section.name not in CENTRES
    free = free_parameters(section, k, fitted.n_features) if mixture else None
    return Judged(k, score.total, score.weight, fitted.objective, free, score.entropy, deviations)


def rows_of(
    names: Sequence[str],
    sections: Sequence[ModelSection],
    found: Sequence[Fitted],
    scores: Sequence[Score],
    wanted: Sequence[str],
    deviations: float,
) -> list[Row]:
    """A row for each model, with the criteria `wanted`; `deviations` as `Judged` has it."""
    each = zip(sections, found, scores, strict=True)
    known = [judged(section, fitted, score, deviations) for section, fitted, score in each]
    values = {name: CRITERIA[name].values(known) for name in wanted}
    return [
        Row(
            name,
            section.name,
            section.n_components,
            fitted.n_components,
            fitted.objective,
            one.total if one.free is None else one.total / one.weight,
            {criterion: numbers[i] for criterion, numbers in values.items()},
            fitted.iterations,
            fitted.restart,
            fitted.status not in (Status.MAX_ITER, Status.RUNNING),
        )
        for i, (name, section, fitted, one) in enumerate(
            zip(names, sections, found, known, strict=True)
        )
    ]


def shown_criteria(criterion: str, mixtures: bool) -> list[str]:
    """The criterion that decides, and those that cost nothing beside it."""
    free = ["bic", "aic"] if mixtures else []
    return [criterion, *(name for name in free if name != criterion)]


def best_of(rows: Sequence[Row], criterion: str) -> int:
    """Index of the best row; the smallest model where no row has a number."""
    values = [row.criteria[criterion] for row in rows]
    if all(math.isnan(value) for value in values):
        return min(range(len(rows)), key=lambda i: rows[i].n_components)
    return CRITERIA[criterion].best(values)
