"""Online passes: an M-step after every group of blocks, from sums that are folded together.

Stepwise EM, mini-batch K-means and fits of streams share this code. The history holds the mean of
the objectives of the groups, each computed when the group came, under parameters that had not seen
this group in the pass. That is a progress report, and no lower bound.
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
from emdist.fit.iteration import at_iteration, mended, numerics_of, overflowed, resolved
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState, Record, Status
from emdist.interfaces import Numerics
from emdist.sums import Sums

#: Identifies the random stream of the order of the groups.
_STREAM = 11

#: An option: the number of online passes before batch iterations take over.
Passes: TypeAlias = Annotated[int, Field(ge=1)]

#: Maps ``(folded sums so far or None, sums of a group, groups so far)`` to new folded sums.
Fold: TypeAlias = Callable[[Sums | None, Sums, int], Sums]


@dataclass(frozen=True)
class Folded:
    """The state from which an online fit continues.

    Attributes
    ----------
    sums
        The sums folded so far, including the shared statistics; None before the first group.
    groups
        The number of groups that were folded.
    """

    sums: Sums | None = None
    groups: int = 0


@dataclass(frozen=True)
class Streamed:
    """The state of a stream at the end of a run, from which the run of the next rows goes on.

    Attributes
    ----------
    params
        The parameters, relative to the origin of the fit.
    memory
        The running statistics, relative to the same origin.
    """

    params: Any
    memory: Folded


def streamed(state: FitState) -> Streamed | None:
    """Return what a finished fit leaves for the next rows; None if it keeps no statistics."""
    kept = isinstance(state.memory, Folded) and state.memory.sums is not None
    if state.status is not Status.STREAMED or not kept:
        return None
    return Streamed(state.params, state.memory)


def online_step(
    fit: Fit, state: FitState, passes: int, wanted: int | None, fold: Fold, stream: bool = False
) -> FitState:
    """Make one of `passes` online passes, or later a batch iteration.

    In a `stream`, the fit ends with the last online pass, and its statistics are kept: a batch
    iteration would forget the rows that came before.

    An online pass takes the groups in a random order that follows from the random seed. A batch
    iteration is also made if moments must be taken about means, because the means move from group
    to group.
    """
    fit = at_iteration(fit, state)
    batch = state.iteration >= passes or fit.numerics(state.params).centred
    if batch and not stream:
        return replace(Batch().step(fit, state), memory=None)
    parts = groups(len(fit.source), wanted)
    rng = np.random.default_rng([state.seed, state.restart, state.iteration, _STREAM])
    found = sweep(fit, state, [parts[g] for g in rng.permutation(len(parts))], fold)
    ended = stream and found.iteration >= passes
    return replace(found, status=Status.STREAMED) if ended else found


def sweep(fit: Fit, state: FitState, parts: Sequence[Sequence[int]], fold: Fold) -> FitState:
    """Return `state` after each group in turn: fold in its sums and make an M-step."""
    folded = state.memory if isinstance(state.memory, Folded) else Folded()
    params, new, done, objective = state.params, state.params, 0, 0.0
    last: Pass | None = None
    for blocks in parts:
        # The newest estimate may be unusable for scores, for example before a component has
        # rows. Then the one before it serves until more groups have come.
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
    """Return the sums of a group under `params`, and the pass and M-step of the folded sums."""
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
    """Return `sums` scaled as if their rows had the total weight `weight`."""
    by = weight / float(sums["weight"])
    return Sums({name: np.asarray(value * by) for name, value in sums.fields.items()})


def _part(fit: Fit, sums: Sums, last: Pass) -> float:
    """Return what a group adds to the objective: its own, scaled to all rows, times its share."""
    total = fit.survey.spread.weight
    objective = fit.model.objective(scaled(sums, total), last.params, last.numerics)
    return objective * float(sums["weight"]) / total


def _serves(fit: Fit, params: Any) -> bool:
    return bool((params.weights > 0).all()) and numerics_of(fit, params) is not None


def _swept(
    fit: Fit, state: FitState, objective: float, last: Pass, new: Any, folded: Folded
) -> FitState:
    """Return `state` after an online pass: apply the collapse policy and extend the history."""
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
