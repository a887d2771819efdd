"""SQUAREM: two EM steps, then one long step along the way they took; never worse than EM.

Varadhan and Roland 2008, "Simple and globally convergent methods for accelerating the
convergence of any EM algorithm", Scandinavian Journal of Statistics 35(2), their step length S3
and their growing limit on it. It is taken in the space of sufficient statistics, where it needs
no transformation for each family: the sums of three passes s0, s1, s2 give

    r = s1 - s0,  v = (s2 - s1) - r,  a = |r| / |v|,  s' = s0 + 2 a r + a^2 v,

and the M-step of s' the next parameters; a = 1 is plain EM.
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
from emdist.fit.state import FitState, Record, Status
from emdist.fit.turn import (
    ROUNDING,
    advanced,
    held_against,
    numerics_of,
    one_pass,
    turned,
)
from emdist.interfaces import Floats, Model, Numerics
from emdist.sums import Sums

#: Growth of the longest step after one that was taken in full, and its fall after one given up.
_GROWTH = 4.0
#: A step this near to 1 is not worth the risk of a pass.
_SHORTEST = 1.05
#: Part of `ROUNDING` by which a trial may miss what plain EM is sure of.
_SLACK = 1e-3


@dataclass(frozen=True)
class Ended:
    """The last pass of a fit that stopped: what a long step after it would be taken with."""

    params: Any
    numerics: Numerics


@dataclass(frozen=True)
class Cycle:
    """Where a fit stands between two long steps.

    Attributes
    ----------
    before, first
        Sums s0 and s1, as far as they are known.
    numerics
        Of the passes that gave them.
    params, plain, least
        After a long step: the parameters and sums of plain EM to fall back to, and the objective
        that these are sure to reach.
    longest
        Step length allowed next.
    ended
        Of a fit that stopped: the pass after which no long step was taken, as the fit ended with
        plain EM's parameters. None while it runs.
    """

    before: Sums | None = None
    first: Sums | None = None
    numerics: Numerics | None = None
    params: Any = None
    plain: Sums | None = None
    least: float = math.nan
    longest: float = _GROWTH
    ended: Ended | None = None


@dataclass(frozen=True)
class Squarem:
    """Every iteration is one pass; one in three tries a long step.

    A long step whose pass shows a lower objective than plain EM is sure of is given up: the fit
    goes on from plain EM's parameters, and one pass is lost. Such an iteration is in the history
    with `Record.rejected`.

    Attributes
    ----------
    longest
        Step length that is never exceeded.
    """

    longest: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 256.0

    @property
    def memory(self) -> type[Cycle]:
        """Sums of the passes since the last long step, and what to fall back to."""
        return Cycle

    def check(self, model: Model[Any]) -> None:
        """Wants soft assignment: labels do not change along a line."""
        check_steady(model, "squarem")
        if model.temperature == 0:
            raise ConfigError(
                "fit.schedule 'squarem' wants responsibilities that change smoothly, and hard "
                "assignment (kmeans, hard) has labels that jump. Use fit.schedule=batch, "
                "incremental or minibatch."
            )

    def step(self, fit: Fit, state: FitState) -> FitState:
        """One pass, and the M-step of its sums or of a point ahead of them."""
        fit = turned(fit, state)
        cycle = state.memory if isinstance(state.memory, Cycle) else Cycle()
        if cycle.ended is not None and state.sums is not None:
            # The fit had stopped here and goes on: what follows a pass is made up for.
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
            ended = Ended(last.params, last.numerics)
            kept = Cycle(
                cycle.before, cycle.first, cycle.numerics, longest=cycle.longest, ended=ended
            )
            return replace(done, memory=kept)
        return self._onwards(fit, done, last, cycle)

    def _onwards(self, fit: Fit, state: FitState, last: Pass, cycle: Cycle) -> FitState:
        """`state` after plain EM, or a long step where the cycle is complete."""
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
    """``|r| / |v|``, columns in units of their own size; at least 1."""
    r = v = 0.0
    for name in s0:
        first, second = s1[name] - s0[name], s2[name] - s1[name]
        size = np.sqrt(np.mean(s1[name] * s1[name], axis=0))
        size = np.where(size > 0, size, 1.0)
        r += float(np.sum(np.square(first / size)))
        v += float(np.sum(np.square((second - first) / size)))
    return max(1.0, math.sqrt(r / v)) if v > 0 else 1.0


def beyond(s0: Sums, s1: Sums, s2: Sums, a: float) -> Sums:
    """``s0 + 2 a r + a^2 v``, whose weights sum to what theirs do."""

    def along(name: str) -> Floats:
        r = s1[name] - s0[name]
        v = (s2[name] - s1[name]) - r
        return np.asarray(s0[name] + 2 * a * r + a * a * v)

    return Sums({name: along(name) for name in s0})


def _estimated(fit: Fit, last: Pass, sums: Sums) -> Any:
    """The M-step of `sums`, or None where no sums of rows could be like that."""
    if not (sums["n"] > 0).all():
        return None
    # A feature that is never negative stays so: counts, squares, indicators.
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
    objective = fit.model.objective(last.sums, last.params, last.numerics)
    slack = _SLACK * ROUNDING[last.numerics.dtype] * max(1.0, abs(least))
    return objective >= least - slack


def _given_up(fit: Fit, state: FitState, last: Pass, cycle: Cycle) -> FitState:
    """`state` back at plain EM's parameters, one pass poorer."""
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
