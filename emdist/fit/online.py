"""Online sweeps: an M-step after every group of blocks, from sums that are folded together.

What stepwise EM and mini-batch K-means share, and what streams are fitted by. The history holds
the mean of what each group's objective was when it came, under parameters that had not seen it
in this sweep: a progress report, and no bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from emdist.fit.block_groups import group_sums, groups
from emdist.fit.collapse import Pass
from emdist.fit.fit import Fit
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState, Record, Status
from emdist.fit.turn import mended, numerics_of, overflowed, resolved, turned
from emdist.interfaces import Numerics
from emdist.sums import Sums

#: Names the random stream of the groups' order.
_STREAM = 11

#: An option: how many sweeps are made before batch iterations take over.
Passes: TypeAlias = Annotated[int, Field(ge=1)]

#: ``(folded so far or None, sums of a group, groups so far)`` to new folded sums.
Fold: TypeAlias = Callable[[Sums | None, Sums, int], Sums]


@dataclass(frozen=True)
class Folded:
    """What an online fit goes on from.

    Attributes
    ----------
    sums
        Folded so far, shared statistics included; None before the first group.
    groups
        That were folded.
    """

    sums: Sums | None = None
    groups: int = 0


def online_step(fit: Fit, state: FitState, passes: int, wanted: int | None, fold: Fold) -> FitState:
    """One of `passes` sweeps over the groups in a seeded order; a batch iteration afterwards.

    Also a batch iteration where moments must be taken about means: they move from group to group.
    """
    fit = turned(fit, state)
    if state.iteration >= passes or fit.numerics(state.params).centred:
        return replace(Batch().step(fit, state), memory=None)
    parts = groups(len(fit.source), wanted)
    rng = np.random.default_rng([state.seed, state.restart, state.iteration, _STREAM])
    return sweep(fit, state, [parts[g] for g in rng.permutation(len(parts))], fold)


def sweep(fit: Fit, state: FitState, parts: Sequence[Sequence[int]], fold: Fold) -> FitState:
    """`state` after each group in turn: its sums folded in, and an M-step."""
    folded = state.memory if isinstance(state.memory, Folded) else Folded()
    params, new, done, objective = state.params, state.params, 0, 0.0
    last: Pass | None = None
    for blocks in parts:
        # Where the newest estimate cannot be scored with, such as before a component has rows,
        # the one before serves until more groups have come.
        params = new if _serves(fit, new) else params
        found, last, new = _group(fit, state, params, blocks, done, folded, fold)
        done += len(blocks)
        if float(found["weight"]) > 0:
            objective += _part(fit, found, last)
            folded = Folded(last.sums, folded.groups + 1)
    assert last is not None
    return _swept(fit, state, objective, last, new, folded)


def _group(
    fit: Fit,
    state: FitState,
    params: Any,
    blocks: Sequence[int],
    before: int,
    folded: Folded,
    fold: Fold,
) -> tuple[Sums, Pass, Any]:
    """Sums of a group under `params`, and the pass and M-step of what they are folded to."""
    found: list[Sums] = []

    def gather(numerics: Numerics) -> Sums:
        sums = group_sums(fit, state, params, numerics, blocks, before, True)
        found[:] = [sums]
        if float(sums["weight"]) == 0:
            return sums if folded.sums is None else folded.sums
        return fold(folded.sums, sums, folded.groups)

    last, new = resolved(fit, params, gather, expand=True)
    return found[0], last, new


def scaled(sums: Sums, weight: float) -> Sums:
    """`sums` as if their rows weighed `weight`."""
    by = weight / float(sums["weight"])
    return Sums({name: np.asarray(value * by) for name, value in sums.fields.items()})


def _part(fit: Fit, sums: Sums, last: Pass) -> float:
    """What a group adds to the objective: its own, as if of all rows, times its share of them."""
    total = fit.survey.spread.weight
    objective = fit.model.objective(scaled(sums, total), last.params, last.numerics)
    return objective * float(sums["weight"]) / total


def _serves(fit: Fit, params: Any) -> bool:
    return bool((params.weights > 0).all()) and numerics_of(fit, params) is not None


def _swept(
    fit: Fit, state: FitState, objective: float, last: Pass, new: Any, folded: Folded
) -> FitState:
    """`state` after a sweep: the collapse policy applied, the history written."""
    if not math.isfinite(objective):
        raise overflowed(fit, objective, f"iteration {state.iteration + 1}")
    new, reseeded, dropped = mended(fit, last, new)
    record = Record(
        state.restart,
        state.iteration + 1,
        objective,
        math.nan,
        math.nan if dropped else fit.model.shift(state.params, new),
        reseeded,
        dropped,
    )
    ended = record.iteration >= fit.stop.max_iter
    return replace(
        state,
        iteration=record.iteration,
        params=new,
        sums=None,
        memory=Folded() if reseeded or dropped else folded,
        history=(*state.history, record),
        status=Status.MAX_ITER if ended else Status.RUNNING,
    )
