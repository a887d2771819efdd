"""Compares the models of a sweep: a row of numbers for each, the best one, and doubts about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emdist.composition.model import CENTRES, free_parameters, kind_of
from emdist.fit.criteria import CRITERIA, OF_LABELS, Judged
from emdist.fit.fitted import Fitted
from emdist.fit.moments import Moments
from emdist.fit.together.sweep import Score
from emdist.quality.doubts import Doubt, degenerate, mean_floor, weighed
from emdist.quality.separation import Separation
from emdist.settings.config import ModelSection


@dataclass(frozen=True)
class Row:
    """One model of a sweep, in numbers.

    Attributes
    ----------
    name
        The name of the model within the sweep.
    family, n_components
        The name of the model that was fitted, and the number of components asked for.
    left
        The number of components after the collapse policy.
    objective
        The objective that the fit reports: inertia, or log-likelihood or lower bound per unit of
        weight (nats).
    score
        The score of the final model on all rows: inertia, or log-likelihood per unit of weight
        (nats).
    criteria
        The values of criteria by name; NaN if the model has none.
    iterations, start
        The number of iterations of the best restart, and its number from 0.
    converged
        Whether it stopped before max_iter.
    degenerate
        The components on the variance floor. For models of centres: all centres if every row lies
        on its centre, and none otherwise.
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
    degenerate: tuple[int, ...] = ()


def judged(
    section: ModelSection,
    fitted: Fitted,
    score: Score,
    moments: Moments,
    separation: Separation | None = None,
) -> Judged:
    """Return what criteria are computed from; `moments` are those of the data."""
    k = fitted.n_components
    mixture = section.name not in CENTRES
    free = free_parameters(section, k, fitted.n_features) if mixture else None
    return Judged(
        k,
        score.total,
        score.weight,
        fitted.objective,
        free,
        score.entropy,
        float(moments.m2.sum()),
        kind_of(section),
        float(moments.cells.sum()),
        fitted.n_features,
        score.count,
        *(() if separation is None else (separation.silhouette, separation.davies_bouldin)),
    )


def _degenerate(section: ModelSection, fitted: Fitted, one: Judged) -> tuple[int, ...]:
    """Return the components that should not decide a criterion."""
    if section.name not in CENTRES:
        return degenerate(section, fitted)
    low = one.values * mean_floor(fitted.spread) if one.kind == "kmeans" else 0.0
    return tuple(range(fitted.n_components)) if one.total <= low else ()


def rows_of(
    names: Sequence[str],
    sections: Sequence[ModelSection],
    found: Sequence[Fitted],
    scores: Sequence[Score],
    wanted: Sequence[str],
    moments: Moments,
    separations: Sequence[Separation] = (),
) -> list[Row]:
    """Return a row for each model, with the `wanted` criteria; `moments` are those of the data.

    `separations` are those of the models, if a wanted criterion follows from labels.
    """
    each = list(zip(sections, found, scores, strict=True))
    beside: Sequence[Separation | None] = separations or [None] * len(each)
    known = [
        judged(section, fitted, score, moments, other)
        for (section, fitted, score), other in zip(each, beside, strict=True)
    ]
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
            not fitted.status.is_open,
            _degenerate(section, fitted, one),
        )
        for i, (name, (section, fitted, _), one) in enumerate(zip(names, each, known, strict=True))
    ]


def shown_criteria(criterion: str, sections: Sequence[ModelSection]) -> list[str]:
    """Return the criterion that decides, and others that cost nothing to compute with it."""
    kinds = {kind_of(section) for section in sections}
    free = {"mixture": ["bic", "aic"], "kmeans": ["icl", "calinski_harabasz"]}
    beside = free.get(kinds.pop(), []) if len(kinds) == 1 else []
    if criterion in OF_LABELS:
        beside = [*beside, *sorted(OF_LABELS)]
    return [criterion, *(name for name in beside if name != criterion)]


def best_of(rows: Sequence[Row], criterion: str, allow_degenerate: bool = False) -> int:
    """Return the index of the best row, or of the smallest model if no row has a number.

    Rows with components on the floor are candidates only if that is allowed, or if all rows have
    such components.
    """
    sound = [i for i, row in enumerate(rows) if allow_degenerate or not row.degenerate]
    taken = sound or list(range(len(rows)))
    values = [rows[i].criteria[criterion] for i in taken]
    if all(math.isnan(value) for value in values):
        return min(taken, key=lambda i: rows[i].n_components)
    return taken[CRITERIA[criterion].best(values)]


@dataclass(frozen=True)
class Naming:
    """The names of a sweep's settings, in the words of the layer that the user is in.

    Attributes
    ----------
    sizes, allow, max_iter, tol
        The names of: the numbers of components, whether degenerate models may be best, and the two
        settings of the stop rule.
    """

    sizes: str
    allow: str
    max_iter: str
    tol: str


def doubts_about(
    rows: Sequence[Row], best: int, criterion: str, naming: Naming, groups: Sequence[str]
) -> tuple[Doubt, ...]:
    """Return the doubts about the choice of a sweep.

    Parameters
    ----------
    rows, best, criterion
        The rows of the sweep, the index of the best, and the criterion.
    naming
        The names of its settings.
    groups
        The group of each row: rows of one group differ only in their number of components.
    """
    own = [row for row, group in zip(rows, groups, strict=True) if group == groups[best]]
    told = [
        *_floor_doubts(rows, best, criterion, naming),
        *_edge_doubts(rows[best], own, criterion, naming),
    ]
    if CRITERIA[criterion].heuristic:
        told.append(Doubt("heuristic", (), CRITERIA[criterion].heuristic))
    if cut := [row.name for row in rows if not row.converged]:
        what = (
            f"{len(cut)} of {len(rows)} models reached {naming.max_iter} before they converged: "
            f"{_some(cut)}. Their criteria may still improve. Raise {naming.max_iter}, or raise "
            f"{naming.tol} if the last changes in the history are small enough for you."
        )
        told.append(Doubt("unfinished", (), what))
    return tuple(told)


def doubts_about_weights(score: Score, criterion: str) -> tuple[Doubt, ...]:
    """Return the doubt about a criterion that takes the sum of weights as the number of rows."""
    if CRITERIA[criterion].heuristic:  # An elbow is the same for all weights.
        return ()
    return weighed(score.rows, score.weight, CRITERIA[criterion].title)


def _some(names: Sequence[str], shown: int = 5) -> str:
    return "; ".join(names[:shown]) + (" ..." if len(names) > shown else "")


def _floor_doubts(
    rows: Sequence[Row], best: int, criterion: str, naming: Naming
) -> Iterator[Doubt]:
    """Yield the doubt about models that have components on the variance floor."""
    marked = [row for row in rows if row.degenerate]
    if not marked:
        return
    title = CRITERIA[criterion].title
    what = (
        f"{len(marked)} of {len(rows)} models have components on the variance floor, which "
        "contain repeated, rounded or saturated values: "
        f"{_some([row.name for row in marked])}. The floor determines their {title}, and the data "
        "do not."
    )
    if len(marked) == len(rows):
        what += (
            " As this affects all models, the choice among them means little. Try fewer "
            "components, leave out such values, or add noise as large as the steps between values."
        )
    elif rows[best].degenerate:
        what += f" The best, {rows[best].name}, is one of them, as {naming.allow} allows."
    else:
        lead = rows[CRITERIA[criterion].best([row.criteria[criterion] for row in rows])]
        would = f" {lead.name} would be best by {title} alone." if lead.degenerate else ""
        what += f" emdist does not choose them.{would} To allow all models, set {naming.allow}."
    yield Doubt("floor", (), what)


def _edge_doubts(best: Row, own: Sequence[Row], criterion: str, naming: Naming) -> Iterator[Doubt]:
    """Yield a doubt if the best number of components is the first or last tried for its group."""
    sizes = sorted({row.n_components for row in own})
    k = best.n_components
    least = 2 if criterion in OF_LABELS else 1  # No criterion of labels is defined for one.
    if criterion == "elbow" or len(sizes) < 2 or k <= least or sizes[0] < k < sizes[-1]:
        return  # An elbow cannot be at an end: the ends of the curve lie on its chord.
    end, other = ("largest", "more") if k == sizes[-1] else ("smallest", "fewer")
    wider = f"up to {2 * k}" if k == sizes[-1] else f"down to {max(1, k // 2)}"
    what = (
        f"The best number of components, {k}, is the {end} that was tried: {other} may be better "
        f"still. Widen {naming.sizes}, for example {wider}."
    )
    yield Doubt("edge", (), what)
