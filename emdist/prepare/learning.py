"""Learns the steps of a preparation from all rows, in as few passes as their order allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, DataError, WeightError
from emdist.inputs.names import brief, names_of
from emdist.interfaces import Block, Engine, Source
from emdist.prepare.base import Known, Need, PrepareStep
from emdist.prepare.eigen import check_weight
from emdist.prepare.moments import StepMoments, moments_of
from emdist.prepare.preparation import Preparation
from emdist.prepare.range_finder import found_range
from emdist.prepare.standardise import StandardiseStep
from emdist.runtime.memory import available_memory
from emdist.store.grids.nothing_left import reasons

#: Called with the number of blocks that a pass has finished.
Done = Callable[[int], None]


@dataclass(frozen=True)
class LearnTask:
    """The task that computes the moments of one block, after the steps that are known already.

    Attributes
    ----------
    source
        The source to read from.
    preparation
        The steps that are known.
    need
        Which moments are wanted.
    missing
        Whether NaN counts as a missing value; if not, it is an error.
    """

    source: Source
    preparation: Preparation
    need: Need
    missing: bool = False

    def __call__(self, i: int) -> StepMoments:
        block = self.source.read(i)
        check_weights(block)
        return moments_of(
            self.preparation.counted(block, self.missing), self.preparation.n_features, self.need
        )


def check_weights(block: Block) -> None:
    """Raise WeightError for sample weights that are negative or not finite."""
    if block.weight is None:
        return
    bad = np.flatnonzero(~(np.isfinite(block.weight) & (block.weight >= 0)))
    if len(bad):
        raise WeightError(
            f"{len(bad)} of the sample weights of block {block.index} are negative or not finite "
            f"(row {block.start + bad[0]}: {block.weight[bad[0]]}); expected numbers >= 0. Use 0 "
            "to leave a row out."
        )


def learn(
    steps: Sequence[PrepareStep],
    source: Source,
    engine: Engine,
    missing: bool = False,
    done: Done | None = None,
) -> Preparation:
    """Return `steps` with what they learn from all rows of `source`.

    Steps that scale and rotate (standardise, pca) follow each other without another pass, because
    the covariance of scaled rows is known. A step between them that is not linear takes one more.
    `missing` says that NaN counts as a missing value; if not, it is an error.

    Raises
    ------
    EmdistError
        If the data cannot be prepared so.
    """
    names = names_of(source)
    made, known, passes = Preparation(source.shape[1]), None, 0
    ready = [_for_data(step, source) for step in steps]
    for at, step in enumerate(ready):
        need = step.need(made.n_features)
        if not need:
            made, known = made.then(step, {}, []), None
            continue
        if known is None or (need in ("covariance", "pairs") and known.covariance is None):
            wanted = _wanted(ready[at:], made.n_features)
            known = _known(LearnTask(source, made, wanted, missing), engine, done)
            passes += 1
        if need == "sketch":
            learned, note, doubts = found_range(step, made, known, source, engine, done)
            made = replace(made, notes=(*made.notes, note))
            passes += step.passes  # type: ignore[attr-defined]
        else:
            if need in ("covariance", "pairs"):
                check_weight(known.weight)
            _check_pairs(known, made, names)
            learned, doubts = step.learn(known, made.names_out(names))
        made, known = made.then(step, learned, doubts), step.moved(known, learned)
    if passes > 1:
        made = replace(
            made, notes=(*made.notes, f"prepare learned in {passes} passes over the data.")
        )
    return made


def _for_data(step: PrepareStep, source: Source) -> PrepareStep:
    """Return a step with the variables of the data, if it needs them."""
    if not isinstance(step, StandardiseStep):
        return step
    variables: Any = getattr(source, "feature_variables", None)
    return step.with_groups(variables)


def _wanted(steps: Sequence[PrepareStep], d: int) -> Need:
    """Return the moments that the first of `steps`, and those that need no other pass, need."""
    wanted: Need = "spread"
    for step in steps:
        need = step.need(d)
        if not need:
            break
        if need in ("covariance", "pairs"):
            return need
        d = step.bound(d)
    return wanted


def _known(task: LearnTask, engine: Engine, done: Done | None) -> Known:
    """Return the moments of the rows that `task` prepares, by one pass."""
    _check_memory(task, engine)
    found = engine.map_reduce(task, range(len(task.source)), done)
    if not found.weight > 0:
        raise WeightError(
            "No row is left to learn the steps of prepare from: all rows are left out, or have "
            f"the sample weight zero. {reasons(task.source)}"
        )
    known = found.known()
    with np.errstate(over="ignore"):
        large = ~np.isfinite(known.variance)
    if large.any():
        raise DataError(
            f"The squares of feature {int(np.argmax(large))} overflow. Scale the features, for "
            "example by another unit."
        )
    return known


def _check_memory(task: LearnTask, engine: Engine) -> None:
    """Raise ConfigError if the matrices of a pass do not fit into the memory that is free."""
    matrices = {"covariance": 1, "pairs": 3}.get(task.need, 0)
    threads = engine.at_work(len(task.source)) if isinstance(engine, LocalEngine) else 1
    # Each thread has one, and the driver joins some of them.
    needed = matrices * 8 * task.preparation.n_features**2 * (2 * threads + 4)
    if needed > (free := available_memory()):
        raise ConfigError(
            f"The covariance of {task.preparation.n_features:,} features needs about "
            f"{needed / 2**30:.1f} GiB, but only {free / 2**30:.1f} GiB are free. Set the option "
            "solver of pca to randomised, with a number of components."
        )


def _check_pairs(known: Known, made: Preparation, names: tuple[str, ...] | None) -> None:
    """Raise DataError for features that are never observed, or never together with another."""
    told = made.names_out(names)
    unseen = np.flatnonzero(~(known.cells > 0))
    if len(unseen):
        raise DataError(
            f"The feature {brief(told[unseen[0]])} is missing (NaN) in every row with weight > 0. "
            "Leave it out."
        )
    if known.covariance is not None and np.isnan(known.covariance).any():
        i, j = np.argwhere(np.isnan(known.covariance))[0]
        raise DataError(
            f"pca: too few rows have both {brief(told[i])} and {brief(told[j])} to know their "
            "covariance. Leave one of them out."
        )


def nothing_learned(steps: Sequence[PrepareStep], d: int) -> Preparation | None:
    """Return `steps` of rows of `d` features if none of them learns from data; otherwise None."""
    made = Preparation(d)
    for step in steps:
        if step.need(made.n_features):
            return None
        made = made.then(step, {}, [])
    return made
