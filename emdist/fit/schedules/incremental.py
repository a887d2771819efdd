"""Incremental EM: an M-step after every group of blocks, from a record of each group.

Neal and Hinton 1998, "A view of the EM algorithm that justifies incremental, sparse, and other
variants", Learning in Graphical Models. Responsibilities of different groups come from different
parameters. What rises is therefore the lower bound

    F(q, theta) = Q(q, theta) + H(q) <= log-likelihood of theta.

The history holds its value after the E-step of the last group in each iteration. With a single
group it is the log-likelihood, as in batch EM.
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
from emdist.fit.iteration import advanced, at_iteration, numerics_of, resolved, shared_of
from emdist.fit.schedules.batch import Batch
from emdist.fit.state import FitState
from emdist.interfaces import Model, Numerics
from emdist.sums import Sums, tree_sum


@dataclass(frozen=True)
class Records:
    """The records from which incremental EM goes on. They cannot be computed again.

    Attributes
    ----------
    groups
        The sums of each group under the parameters with which it was last read, including the
        shared statistics. Their ``objective`` is the part in which no parameter enters. Empty if
        the last pass could not be kept; the next pass then gathers new records.
    """

    groups: tuple[Sums, ...] = ()


@dataclass(frozen=True)
class Incremental:
    """One iteration goes through all groups, which is one read of all rows.

    The first iteration gathers the records with the starting values, and is a batch iteration.
    Sums are always those of all records, added in a fixed order, and never a running difference.

    Attributes
    ----------
    groups
        The number of groups of blocks, and so of M-steps in an iteration. By default 16, or the
        number of blocks if that is smaller.
    """

    groups: Groups = None

    @property
    def memory(self) -> type[Records]:
        """The type that holds the record of each group."""
        return Records

    def check(self, model: Model[Any]) -> None:
        """Raise ConfigError unless sums add and the assignment never changes."""
        check_steady(model, "incremental")

    def step(self, fit: Fit, state: FitState) -> FitState:
        """Go through all groups, or make a batch iteration if moments are about moving means."""
        parts = groups(len(fit.source), self.groups)
        records = _records(state, len(parts))
        fit = at_iteration(fit, state)
        if len(parts) == 1 or fit.numerics(state.params).centred:
            return replace(Batch().step(fit, state), memory=Records())
        if not records:
            return _first(fit, state, parts)
        return _sweep(fit, state, parts, records)


def _records(state: FitState, count: int) -> tuple[Sums, ...]:
    """Return the records of `count` groups; raise CheckpointError if they are not in `state`."""
    if state.iteration == 0:
        return ()
    if not isinstance(state.memory, Records) or len(state.memory.groups) not in (0, count):
        raise CheckpointError(
            f"The checkpoint of iteration {state.iteration} lacks the sums of {count} groups of "
            "blocks, from which incremental EM continues. Start a new run."
        )
    return state.memory.groups


def _first(fit: Fit, state: FitState, parts: tuple[range, ...]) -> FitState:
    """Read all groups with the same parameters, then make the M-step."""
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
    """Read each group with the newest parameters, with an M-step after each."""
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
    """Return a function that reads group `g` again and adds its record to those of the others.

    It stores all these records in `trial`.
    """

    def gather(numerics: Numerics) -> Sums:
        before = sum(map(len, parts[:g]))
        found = group_sums(fit, state, params, numerics, parts[g], before, False)
        found = Sums({**found.fields, **shared_of(records[g])})
        trial[:] = [*records[:g], _record(fit.model, found, params), *records[g + 1 :]]
        return _bounded(fit.model, tree_sum(trial), params)

    return gather


def _record(model: Model[Any], sums: Sums, params: Any) -> Sums:
    """Return `sums` of a pass with `params`, with `Model.expected` taken off their objective."""
    return Sums({**sums.fields, "objective": sums["objective"] - model.expected(sums, params)})


def _bounded(model: Model[Any], sums: Sums, params: Any) -> Sums:
    """Return summed records with the bound of `params` under their responsibilities."""
    bound = sums["objective"] + model.expected(sums, params)
    return Sums({**sums.fields, "objective": np.asarray(bound)})


def _goes_on(fit: Fit, last: Pass, new: Any) -> bool:
    """Return whether the pass may go on with `new`: nothing collapsed, and no moving means."""
    if fit.policy != "regularise" and len(fit.model.weak(last.sums, new)):
        return False
    numerics = numerics_of(fit, new)
    return numerics is not None and not numerics.centred


def _kept(fit: Fit, state: FitState, records: tuple[Sums, ...]) -> FitState:
    """Return `state` with its records, unless one of their components was moved or dropped."""
    record = state.history[-1]
    mended = record.reseeded or record.dropped
    return replace(state, memory=Records() if mended else Records(records))


schedule = Incremental
