"""Sweeps: several models are surveyed, fitted and scored on the same data, with shared reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emdist.errors import CheckpointError, ConfigError
from emdist.fit.events import Event, Listener, Progress
from emdist.fit.fit import Fit
from emdist.fit.linking import linked
from emdist.fit.loop import iterate
from emdist.fit.observed import bare, cells_of, instead
from emdist.fit.passes import EStep, LabelBlock
from emdist.fit.state import FitState
from emdist.fit.survey import Survey, SurveyTask
from emdist.fit.together.abreast import Step, abreast
from emdist.fit.together.bundle import Bundle, BundleResults, OneRead
from emdist.fit.together.lockstep import BUDGET
from emdist.interfaces import Array, Engine
from emdist.store.runs.codec import decode, encode
from emdist.sums import Sums


@dataclass(frozen=True)
class SweepState:
    """All that is needed to resume a sweep: the state of each fit."""

    fits: tuple[FitState, ...]

    @property
    def finished(self) -> bool:
        """Whether all fits have finished."""
        return all(state.finished for state in self.fits)

    @property
    def iterations(self) -> int:
        """The number of iterations done, over all fits and restarts."""
        return sum(len(state.history) for state in self.fits)

    @property
    def sequence(self) -> int:
        """A number that grows with every state of a sweep, by which checkpoints are ordered."""
        return sum(len(s.history) + s.restart + int(s.finished) for s in self.fits)


def advanced_together(
    fits: Sequence[Fit],
    state: SweepState,
    listen: Callable[[int, Event], None],
    progress: Callable[[int, int, int], None],
    budget: int = BUDGET,
) -> Iterator[tuple[SweepState, list[Step]]]:
    """Yield states of the sweep and what each fit did to get there, until all have finished.

    The results of each fit are bit-identical to those of the fit alone. See `abreast` for the
    parameters. A single fit reports its passes to its own listener.
    """
    if len(fits) == 1:
        yield from _advanced_alone(fits[0], state.fits[0])
        return
    states = list(state.fits)
    for steps in abreast(fits, states, iterate, listen, progress, budget):
        for step in steps:
            states[step.index] = step.state
        yield SweepState(tuple(states)), steps


def _advanced_alone(fit: Fit, state: FitState) -> Iterator[tuple[SweepState, list[Step]]]:
    told = len(state.history)
    for now in iterate(fit, state):
        yield SweepState((now,)), [Step(0, now, now.history[told:])]
        told = len(now.history)


def encode_fits(state: SweepState, alone: bool) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return a state as arrays and JSON: one fit `alone` as it is, a sweep fit by fit."""
    if alone:
        return encode(state.fits[0])
    parts = [encode(one) for one in state.fits]
    arrays = {f"{i}/{name}": a for i, (found, _) in enumerate(parts) for name, a in found.items()}
    return arrays, {"fits": [meta for _, meta in parts]}


def decode_fits(
    arrays: Mapping[str, Array],
    meta: Mapping[str, Any],
    types: Sequence[Mapping[str, Any]],
    alone: bool,
) -> SweepState:
    """Return the state that `encode_fits` was given; `types` has those of each fit for `decode`.

    Raises
    ------
    CheckpointError
        If it is not a state of that many fits.
    """
    if alone:
        return SweepState((decode(FitState, arrays, meta, types[0]),))
    nodes = meta.get("fits")
    if not isinstance(nodes, list) or len(nodes) != len(types):
        raise CheckpointError(f"the checkpoint does not belong to a sweep of {len(types)} models")
    parts: list[dict[str, Array]] = [{} for _ in types]
    for name, array in arrays.items():
        index, _, rest = name.partition("/")
        if not (index.isdecimal() and int(index) < len(parts)):
            raise CheckpointError(f"the array {name!r} does not belong to a fit of the sweep")
        parts[int(index)][rest] = array
    each = zip(parts, nodes, types, strict=True)
    return SweepState(tuple(decode(FitState, found, node, known) for found, node, known in each))


def merged(tasks: Sequence[SurveyTask]) -> SurveyTask:
    """Return one survey task that finds all that `tasks` would; they may differ by model only.

    Raises
    ------
    ConfigError
        If models look at different features of incomplete rows, so that not the same rows count.
    """
    if any(cells_of(task.source) != cells_of(tasks[0].source) for task in tasks):
        raise ConfigError(
            "The models of the sweep use different features. Each would leave out the rows in "
            "which all its features are missing, so the scores would be for different rows. Use "
            "models of the same features, or set data.non_finite to 'drop'."
        )
    return replace(
        tasks[0],
        wanted=max(task.wanted for task in tasks),
        size=max(task.size for task in tasks),
        shifted=True,
        covariance=any(task.covariance for task in tasks),
    )


def narrowed(survey: Survey, task: SurveyTask) -> Survey:
    """Return what `task` alone would have found, bit by bit, from a survey that found more."""
    moments = survey.moments if task.covariance else replace(survey.moments, products=None)
    return replace(
        survey,
        moments=moments,
        distinct=survey.distinct[: task.wanted],
        wanted=task.wanted,
        shifted=task.shifted,
        sample=survey.sample.first(task.size + 1),
    )


def surveyed_together(
    tasks: Sequence[SurveyTask], engine: Engine, done: Callable[[int], None] | None = None
) -> list[Survey]:
    """Return the survey of each task; all have one source, which is read once."""
    if len(tasks) == 1:
        return [engine.map_reduce(tasks[0], range(len(tasks[0].source)), done)]
    source = OneRead(bare(tasks[0].source))
    groups = sorted({(task.seed, task.missing) for task in tasks})
    kinds = [merged([t for t in tasks if (t.seed, t.missing) == group]) for group in groups]
    once = tuple(replace(kind, source=instead(kind.source, source)) for kind in kinds)
    found: BundleResults = engine.map_reduce(Bundle(source, once), range(len(source)), done)
    told = dict(zip(groups, found.parts, strict=True))
    return [narrowed(told[task.seed, task.missing], task) for task in tasks]


@dataclass(frozen=True)
class Score:
    """How well a fitted model describes all rows.

    Attributes
    ----------
    total
        Weighted log-likelihood of all rows in nats, or their inertia.
    weight
        The total weight of all rows.
    entropy
        The entropy of the responsibilities of all rows in nats; NaN if not requested.
    count
        (c,) the weight of the rows labelled with each component, then with noise if the model has
        it.
    rows
        The number of rows with weight > 0.
    """

    total: float
    weight: float
    entropy: float
    count: Array
    rows: int


def scored_together(
    fits: Sequence[Fit],
    states: Sequence[FitState],
    entropy: bool,
    listen: Listener,
    budget: int = BUDGET,
) -> list[Score]:
    """Return the score of the best restart of each finished fit on all rows, in one more read.

    Parameters
    ----------
    fits, states
        The fits and their final states.
    entropy
        Whether to compute the entropy of responsibilities, for mixtures with soft assignment.
    listen
        Called with the progress.
    budget
        See `Lockstep`.
    """
    source = OneRead(bare(fits[0].source))
    sums: list[tuple[Sums, Sums | None]] = []
    # Sums of labels are small, but those of E-steps are as large as in an iteration.
    per_read = max(1, budget // max(_largest(states), 1)) if entropy else len(fits)
    for first in range(0, len(fits), per_read):
        part = range(first, min(first + per_read, len(fits)))
        sums += _scoring_pass(
            [fits[i] for i in part], [states[i] for i in part], source, entropy, listen
        )
    return [
        _score(fit, state, labelled, e_step)
        for fit, state, (labelled, e_step) in zip(fits, states, sums, strict=True)
    ]


def _largest(states: Sequence[FitState]) -> int:
    held = [state.sums.fields.values() for state in states if state.sums is not None]
    return max((sum(a.nbytes for a in arrays) for arrays in held), default=0)


def _scoring_pass(
    fits: Sequence[Fit],
    states: Sequence[FitState],
    source: OneRead,
    entropy: bool,
    listen: Listener,
) -> list[tuple[Sums, Sums | None]]:
    """Label rows and, if asked, make an E-step for several fits in one read."""
    tasks: list[Any] = []
    for fit, state in zip(fits, states, strict=True):
        assert state.best is not None
        params, numerics = state.best.params, fit.numerics(state.best.params)
        here, engine = instead(fit.source, source), fits[0].engine
        shown = fit.model.shown(params, numerics)
        own = linked(here, fit.model, params, fit.origin, shown, engine.map_reduce, True)
        at = (here, fit.model, own, fit.origin, numerics)
        tasks.append(LabelBlock(*at))
        if entropy:
            tasks.append(EStep(*at, True))
    total = len(source)
    listen(Progress("score", 0, total))
    found: BundleResults = fits[0].engine.map_reduce(
        Bundle(source, tuple(tasks)),
        range(total),
        lambda done: listen(Progress("score", done, total)),
    )
    if not entropy:
        return [(labelled, None) for labelled in found.parts]
    return list(zip(found.parts[::2], found.parts[1::2], strict=True))


def _score(fit: Fit, state: FitState, labelled: Sums, e_step: Sums | None) -> Score:
    entropy, weight = math.nan, float(labelled["weight"])
    if e_step is not None:
        assert state.best is not None
        params = state.best.params
        entropy = weight * fit.model.terms(e_step, params, params, fit.numerics(params)).entropy
    rows = int(labelled["rows"])
    return Score(float(labelled["score"]), weight, entropy, labelled["count"], rows)
