"""Replicates: the same model fitted many times to resampled rows or from other starts, abreast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from emdist.composition.make import make_plan
from emdist.composition.recipe import Recipe
from emdist.engines.blas import one_thread
from emdist.errors import ConfigError
from emdist.fit.aligning import in_order, matched
from emdist.fit.events import Listener, Progress, unheard
from emdist.fit.fit import Fit
from emdist.fit.fitted import Fitted, result
from emdist.fit.loop import iterate
from emdist.fit.resampled import Resampling, resampled
from emdist.fit.start import Given
from emdist.fit.state import FitState, Status
from emdist.fit.together.abreast import abreast
from emdist.inputs.names import names_of, naming
from emdist.interfaces import Engine, Source
from emdist.settings.config import FitSection, ModelSection

#: Mean gain of a row, in nats, below which a replicate has converged. A replicate starts where the
#: fit ended, so a coarser rule would stop it before it has moved to its own maximum.
TOL = 1e-6
#: The most iterations of a replicate, if the fit was allowed fewer.
ITERATIONS = 1000


@dataclass(frozen=True)
class Replicate:
    """How one replicate is fitted.

    Attributes
    ----------
    resampling
        Which rows it is fitted to; None for all.
    seed
        The random seed of its starting values; None to start from the fitted model.
    """

    resampling: Resampling | None = None
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Refitted:
    """Replicates of a fitted model, with their components in its order.

    Attributes
    ----------
    section, fit
        The model's settings, and what all fits have in common.
    reference
        The fitted model.
    replicates
        The fitted replicates.
    passes
        The number of passes over the rows that they took together.
    """

    section: ModelSection
    fit: Fit
    reference: Fitted
    replicates: tuple[Fitted, ...]
    passes: int

    @property
    def unfinished(self) -> int:
        """The number of replicates that have not converged."""
        return sum(one.status is Status.MAX_ITER for one in self.replicates)


def refitted(
    recipe: Recipe,
    reference: Fitted,
    source: Source,
    engine: Engine,
    replicates: Sequence[Replicate],
    listen: Listener = unheard,
) -> Refitted:
    """Fit `replicates` of `reference` in the same passes over the rows of `source`.

    Parameters
    ----------
    recipe
        The fit, as configured.
    reference
        The fitted model. `source` is prepared as it needs it.
    source, engine
        The rows, and the engine that runs the passes.
    replicates
        The replicates; at least one.
    listen
        Called with the progress of passes.

    Raises
    ------
    ConfigError
        If rows of the model depend on one another.
    """
    check_rows(recipe)
    section = recipe.section.model_copy(update={"n_components": reference.n_components})
    recipe = replace(recipe, section=section, fit=converging(recipe))
    plan = make_plan(recipe, source, engine, Given())
    with naming(source):
        total = len(source)
        listen(Progress("survey", 0, total))
        survey = engine.map_reduce(plan.survey, range(total))
        survey.check(source)
        fit = plan.setup(survey)
        moved = reference.spread.origin - survey.spread.origin
        begin = fit.model.translate(reference.params, moved)
        fits = [replace(fit, source=resampled(fit.source, one.resampling)) for one in replicates]
        states = [
            FitState(recipe.fit.seed, params=begin) if one.seed is None else FitState(one.seed)
            for one in replicates
        ]
        passes = advance(fits, states, listen)
    found = []
    for state in states:
        assert state.best is not None
        own = result(
            state.best, survey.spread, state.history, names_of(source), reference.preparation
        )
        found.append(in_order(fit.model, own, matched(fit.model, own, fit.model, reference)))
    return Refitted(recipe.section, fit, reference, tuple(found), passes + 1)


def converging(recipe: Recipe, tol: float = TOL) -> FitSection:
    """Return how replicates are fitted: whole passes until they have converged, from one start.

    `tol` is the mean gain of a row, in nats, below which they have converged.
    """
    fit, model = recipe.fit, recipe.model
    changes: dict[str, Any] = {"schedule": "batch", "schedule_options": {}, "start": None}
    changes |= {"from": None, "n_init": 1}
    # A replicate whose component is lost or dropped has no counterpart to compare it with.
    changes["on_collapse"] = "reseed" if model.minimises else "regularise"
    if not model.minimises:
        changes["tol"] = tol
    changes["max_iter"] = max(fit.max_iter or 0, ITERATIONS)
    return fit.model_copy(update=changes)


def check_rows(recipe: Recipe) -> None:
    """Raise ConfigError if the rows of a model cannot be resampled one by one."""
    if recipe.section.chain is not None:
        raise ConfigError(
            "The rows of a hidden Markov model depend on one another, so they cannot be resampled "
            "one by one."
        )


def advance(fits: Sequence[Fit], states: list[FitState], listen: Listener) -> int:
    """Advance all fits until they have finished; return the number of passes."""
    passes = 0

    def progress(number: int, done: int, total: int) -> None:
        nonlocal passes
        passes += done == 0
        listen(Progress(f"pass of {number} replicate{'s' * (number != 1)}", done, total))

    with one_thread():
        for steps in abreast(fits, states, iterate, _unheard, progress):
            for step in steps:
                states[step.index] = step.state
    return passes


def _unheard(index: int, event: Any) -> None:
    """Ignore the events of a replicate: each would have the same warnings as the fit."""
