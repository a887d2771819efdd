"""Groups of blocks, for schedules that make several M-steps in a pass: one after each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from emdist.errors import ConfigError
from emdist.fit.fit import Fit
from emdist.fit.iteration import named
from emdist.fit.passes import EStep
from emdist.fit.state import FitState
from emdist.interfaces import IterationIndex, Model, Numerics
from emdist.sums import Sums

#: An option: the number of groups. None is `DEFAULT`, or the number of blocks if that is smaller.
Groups: TypeAlias = Annotated[int, Field(ge=1)] | None

DEFAULT = 16


def groups(blocks: int, wanted: int | None) -> tuple[range, ...]:
    """Divide blocks 0..n-1 into groups that each spread over all data, so that sorted data mix."""
    count = min(blocks, wanted or DEFAULT)
    return tuple(range(first, blocks, count) for first in range(count))


def group_sums(
    fit: Fit,
    state: FitState,
    params: Any,
    numerics: Numerics,
    blocks: Sequence[int],
    before: int,
    with_shared: bool,
) -> Sums:
    """Return the sums of one group under `params`; `before` blocks of the pass are already done."""
    task = EStep(fit.source, fit.model, params, fit.origin, numerics, with_shared)
    found: Sums = fit.map_reduce(named(state), task, blocks, before)
    return found


def expanded(numerics: Numerics) -> Numerics:
    """Return `numerics` about the origin: sums about parameters that change cannot be added."""
    return replace(numerics, centred=False)


def check_steady(model: Model[Any], name: str) -> None:
    """Raise ConfigError unless `model` computes the same in every iteration, and its sums add."""
    if not model.additive:
        raise ConfigError(
            f"fit.schedule {name!r} adds up sums of several passes, but this model does not "
            "compute its parameters from sums. Use fit.schedule=batch."
        )
    if not model.at(IterationIndex(0, 0, 1)).settled:
        raise ConfigError(
            f"fit.schedule {name!r} needs an assignment that stays the same in every iteration, "
            "but tempered and stochastic assignment change. Use fit.schedule=batch, or set "
            "model.assignment to 'soft' or 'hard'."
        )
