"""Incremental EM: the M-step after every group of blocks, from a record of each group.

Neal and Hinton 1998, "A view of the EM algorithm that justifies incremental, sparse, and other
variants", Learning in Graphical Models. Responsibilities of different groups then come from
different parameters, and what rises is the bound

    F(q, theta) = Q(q, theta) + H(q) <= log-likelihood of theta,

which is what the history holds: after the last group's E-step of a sweep, so that a single group
gives the log-likelihood, as in batch EM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.errors import CheckpointError
from emdist.fit.block_groups import Groups, check_steady, group_sums, groups
from emdist.fit.collapse import Pass
from emdist.fit.fit import Fit
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState
from emdist.fit.turn import advanced, numerics_of, resolved, shared_of, turned
from emdist.interfaces import Model, Numerics
from emdist.sums import Sums, tree_sum


@dataclass(frozen=True)
class Records:
    """What incremental EM goes on from; it cannot be computed anew.

    Attributes
    ----------
    groups
        Sums of each group under the parameters it was last read with, shared statistics
        included. Their ``objective`` is what no parameter enters. Empty where the last pass
        could not be kept: the next one starts them anew.
    """

    groups: tuple[Sums, ...] = ()


@dataclass(frozen=True)
class Incremental:
    """One iteration is one sweep over all groups, and one read of all rows.

    The first sweep gathers the records with the start's parameters: a batch iteration. Sums are
    always those of all records, added in a fixed order, and never a running difference.

    Attributes
    ----------
    groups
        The blocks are divided into; M-steps in a sweep. By default 16, or the number of blocks.
    """

    groups: Groups = None

    @property
    def memory(self) -> type[Records]:
        """The record of each group."""
        return Records

    def check(self, model: Model[Any]) -> None:
        """Wants sums that add and an assignment that does not change."""
        check_steady(model, "incremental")

    def step(self, fit: Fit, state: FitState) -> FitState:
        """A sweep; a batch iteration where moments must be taken about moving means."""
        parts = groups(len(fit.source), self.groups)
        records = _records(state, len(parts))
        fit = turned(fit, state)
        if len(parts) == 1 or fit.numerics(state.params).centred:
            return replace(Batch().step(fit, state), memory=Records())
        if not records:
            return _first(fit, state, parts)
        return _sweep(fit, state, parts, records)


def _records(state: FitState, count: int) -> tuple[Sums, ...]:
    if state.iteration == 0:
        return ()
    if not isinstance(state.memory, Records) or len(state.memory.groups) not in (0, count):
        raise CheckpointError(
            f"The fit stands at iteration {state.iteration} and its checkpoint does not hold the "
            f"records of {count} group(s) that incremental EM goes on from. Start the run anew."
        )
    return state.memory.groups


def _first(fit: Fit, state: FitState, parts: tuple[range, ...]) -> FitState:
    """All groups with the same parameters, then the M-step."""
    raw: list[Sums] = []

    def gather(numerics: Numerics) -> Sums:
        raw.clear()
        for blocks in parts:
            before = sum(map(len, parts[: len(raw)]))
            raw.append(group_sums(fit, state, state.params, numerics, blocks, before, True))
        return tree_sum(raw)

    last, new = resolved(fit, state.params, gather)
    records = tuple(_record(fit.model, sums, state.params) for sums in raw)
    return _kept(fit, advanced(fit, state, last, new), records)


def _sweep(
    fit: Fit, state: FitState, parts: tuple[range, ...], records: tuple[Sums, ...]
) -> FitState:
    """Each group with the newest parameters, an M-step after each."""
    params, done = state.params, 0
    for g, blocks in enumerate(parts):
        trial: list[Sums] = []
        last, new = resolved(fit, params, _gathering(fit, state, params, records, trial, parts, g))
        records = tuple(trial)
        done += len(blocks)
        if not _goes_on(fit, last, new):
            break
        params = new
    return _kept(fit, advanced(fit, state, last, new, done == len(fit.source)), records)


def _gathering(
    fit: Fit,
    state: FitState,
    params: Any,
    records: tuple[Sums, ...],
    trial: list[Sums],
    parts: tuple[range, ...],
    g: int,
) -> Callable[[Numerics], Sums]:
    """What reads group `g` anew, puts its record among the others in `trial`, and adds them."""

    def gather(numerics: Numerics) -> Sums:
        before = sum(map(len, parts[:g]))
        found = group_sums(fit, state, params, numerics, parts[g], before, False)
        found = Sums({**found.fields, **shared_of(records[g])})
        trial[:] = [*records[:g], _record(fit.model, found, params), *records[g + 1 :]]
        return _bounded(fit.model, tree_sum(trial), params)

    return gather


def _record(model: Model[Any], sums: Sums, params: Any) -> Sums:
    """`sums` of a pass with `params`, without what they contributed to the objective."""
    return Sums({**sums.fields, "objective": sums["objective"] - model.expected(sums, params)})


def _bounded(model: Model[Any], sums: Sums, params: Any) -> Sums:
    """Summed records with the bound of `params` under their responsibilities as objective."""
    bound = sums["objective"] + model.expected(sums, params)
    return Sums({**sums.fields, "objective": np.asarray(bound)})


def _goes_on(fit: Fit, last: Pass, new: Any) -> bool:
    """Whether the sweep may go on with `new`: no component to be mended, no moving pivots."""
    if fit.policy != "regularise" and len(fit.model.weak(last.sums, new)):
        return False
    numerics = numerics_of(fit, new)
    return numerics is not None and not numerics.centred


def _kept(fit: Fit, state: FitState, records: tuple[Sums, ...]) -> FitState:
    """`state` with its records, unless components were moved or dropped that they speak of."""
    record = state.history[-1]
    mended = record.reseeded or record.dropped
    return replace(state, memory=Records() if mended else Records(records))


schedule = Incremental
