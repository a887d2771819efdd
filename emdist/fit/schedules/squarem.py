"""SQUAREM: two EM steps, then one long step in the direction that they took; never worse than EM.

Varadhan and Roland 2008, "Simple and globally convergent methods for accelerating the convergence
of any EM algorithm", Scandinavian Journal of Statistics 35(2), with their step length S3 and their
growing limit on it. The step is taken in the space of sufficient statistics, which needs no
transformation for each family. The sums of three passes s0, s1, s2 give

    r = s1 - s0,  v = (s2 - s1) - r,  a = |r| / |v|,  s' = s0 + 2 a r + a^2 v,

and the M-step of s' gives the next parameters; a = 1 is plain EM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from emdist.errors import ConfigError
from emdist.fit.block_groups import check_steady
from emdist.fit.collapse import Pass
from emdist.fit.fit import Fit
from emdist.fit.iteration import (
    ROUNDING,
    advanced,
    at_iteration,
    held_against,
    numerics_of,
    one_pass,
)
from emdist.fit.state import FitState, Record, Status
from emdist.interfaces import Floats, Model, Numerics
from emdist.sums import Sums

#: The step limit grows by this factor after a full step, and falls by it after a rejected one.
_GROWTH = 4.0
#: A step this near to 1 gains too little for the risk of losing a pass.
_SHORTEST = 1.05
#: The fraction of `ROUNDING` by which a trial may fall short of what plain EM guarantees.
_SLACK = 1e-3


@dataclass(frozen=True)
class StoppedFit:
    """The last pass of a fit that stopped, from which a long step could still be taken."""

    params: Any
    numerics: Numerics


@dataclass(frozen=True)
class Cycle:
    """Where a fit stands between two long steps.

    Attributes
    ----------
    before, first
        The sums s0 and s1, as far as they are known.
    numerics
        The numerics of the passes that gave them.
    params, plain, least
        After a long step: the parameters and sums of plain EM to fall back to, and the objective
        that these are guaranteed to reach.
    longest
        The longest step allowed next.
    ended
        For a fit that stopped: its last pass, after which no long step was taken, because the fit
        ended with the parameters of plain EM. None while it runs.
    """

    before: Sums | None = None
    first: Sums | None = None
    numerics: Numerics | None = None
    params: Any = None
    plain: Sums | None = None
    least: float = math.nan
    longest: float = _GROWTH
    ended: StoppedFit | None = None


@dataclass(frozen=True)
class Squarem:
    """Every iteration is one pass; one in three tries a long step.

    A long step is rejected if its pass shows a lower objective than plain EM guarantees. The fit
    then goes on from the parameters of plain EM, and one pass is lost. The history has such an
    iteration with `Record.rejected`.

    Attributes
    ----------
    longest
        A limit that the step length never exceeds.
    """

    longest: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 256.0

    @property
    def memory(self) -> type[Cycle]:
        """The type that holds the sums since the last long step, and what to fall back to."""
        return Cycle

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError for hard assignment: labels do not change smoothly along a line."""
        check_steady(model, "squarem")
        if model.temperature == 0:
            raise ConfigError(
                "fit.schedule 'squarem' needs responsibilities that change smoothly, but the "
                "labels of kmeans and hard assignment jump. Use fit.schedule=batch, incremental "
                "or minibatch."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Make one pass, and the M-step of its sums or of a point ahead of them."""
        fit = at_iteration(fit, state)
        cycle = state.memory if isinstance(state.memory, Cycle) else Cycle()
        if cycle.ended is not None and state.sums is not None:
            # The fit had stopped here and goes on, so make the step that it omitted when it ended.
            last = Pass(state.sums, cycle.ended.params, cycle.ended.numerics)
            state = self._onwards(fit, state, last, cycle)
            cycle = state.memory
        last, new = one_pass(fit, state)
        if cycle.params is not None and not _reaches(fit, last, cycle.least):
            return _given_up(fit, state, last, cycle)
        done = advanced(fit, state, last, new, steady=cycle.params is None)
        record = done.history[-1]
        if record.reseeded or record.dropped:
            return replace(done, memory=Cycle(longest=cycle.longest))
        if done.status is not Status.RUNNING:
            ended = StoppedFit(last.params, last.numerics)
            kept = Cycle(
                cycle.before, cycle.first, cycle.numerics, longest=cycle.longest, ended=ended
            )
            return replace(done, memory=kept)
        return self._onwards(fit, done, last, cycle)

    def _onwards(self, fit: Fit, state: FitState, last: Pass, cycle: Cycle) -> FitState:
        """Return `state` after plain EM, or after a long step if the cycle is complete."""
        sums = Sums({name: last.sums[name] for name in ("n", "t")})
        limit = cycle.longest
        if last.numerics.centred:
            return replace(state, memory=Cycle(longest=limit))
        if cycle.before is None or cycle.numerics != last.numerics:
            return replace(state, memory=Cycle(sums, numerics=last.numerics, longest=limit))
        if cycle.first is None:
            kept = Cycle(cycle.before, sums, last.numerics, longest=limit)
            return replace(state, memory=kept)
        return self._leapt(fit, state, last, (cycle.before, cycle.first, sums), limit)

    def _leapt(
        self, fit: Fit, state: FitState, last: Pass, path: tuple[Sums, Sums, Sums], limit: float
    ) -> FitState:
        """Take a long step from three passes' sums, shortened until it gives valid parameters."""
        s0, s1, s2 = path
        wanted = step_length(s0, s1, s2)
        length = min(wanted, limit)
        grown = min(limit * _GROWTH, self.longest) if wanted >= limit else limit
        while length > _SHORTEST:
            ahead = beyond(s0, s1, s2, length)
            params = _estimated(fit, last, ahead)
            if params is not None:
                record = state.history[-1]
                least = np.fmax(record.objective, record.updated)
                memory = Cycle(
                    ahead, None, last.numerics, state.params, s2, float(least), grown
                )  # fmt: skip
                return replace(state, params=params, memory=memory)
            length = (length + 1) / 2
        return replace(state, memory=Cycle(s2, numerics=last.numerics, longest=grown))


def step_length(s0: Sums, s1: Sums, s2: Sums) -> float:
    """Return ``|r| / |v|``, with columns in units of their own size; at least 1."""
    r = v = 0.0
    for name in s0:
        first, second = s1[name] - s0[name], s2[name] - s1[name]
        size = np.sqrt(np.mean(s1[name] * s1[name], axis=0))
        size = np.where(size > 0, size, 1.0)
        r += float(np.sum(np.square(first / size)))
        v += float(np.sum(np.square((second - first) / size)))
    return max(1.0, math.sqrt(r / v)) if v > 0 else 1.0


def beyond(s0: Sums, s1: Sums, s2: Sums, a: float) -> Sums:
    """Return ``s0 + 2 a r + a^2 v``; its weights have the same sum as theirs."""

    def along(name: str) -> Floats:
        r = s1[name] - s0[name]
        v = (s2[name] - s1[name]) - r
        return np.asarray(s0[name] + 2 * a * r + a * a * v)

    return Sums({name: along(name) for name in s0})


def _estimated(fit: Fit, last: Pass, sums: Sums) -> Any:
    """Return the M-step of `sums`, or None if no rows could have such sums."""
    if not (sums["n"] > 0).all():
        return None
    # Sums of a feature that is never negative must not be negative: counts, squares, indicators.
    positive = (last.sums["t"] >= 0).all(axis=0)
    if (sums["t"][:, positive] < 0).any():
        return None
    whole = Sums({**last.sums.fields, **sums.fields})
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        params = fit.model.m_step(whole, last.params, last.numerics)
    if len(fit.model.weak(whole, params)) or numerics_of(fit, params) != last.numerics:
        return None
    return params


def _reaches(fit: Fit, last: Pass, least: float) -> bool:
    """Return whether the last pass reached the objective `least`, up to rounding."""
    objective = fit.model.objective(last.sums, last.params, last.numerics)
    slack = _SLACK * ROUNDING[last.numerics.dtype] * max(1.0, abs(least))
    return objective >= least - slack


def _given_up(fit: Fit, state: FitState, last: Pass, cycle: Cycle) -> FitState:
    """Return `state` with the parameters of plain EM again, after a rejected trial."""
    objective = fit.model.objective(last.sums, last.params, last.numerics)
    record = Record(
        state.restart,
        state.iteration + 1,
        objective,
        objective - held_against(fit, state),
        fit.model.shift(state.params, cycle.params),
        rejected=1,
    )
    ended = record.iteration >= fit.stop.max_iter
    return replace(
        state,
        iteration=record.iteration,
        params=cycle.params,
        history=(*state.history, record),
        status=Status.MAX_ITER if ended else Status.RUNNING,
        memory=Cycle(
            cycle.plain, numerics=cycle.numerics, longest=max(_GROWTH, cycle.longest / _GROWTH)
        ),
    )


schedule = Squarem
