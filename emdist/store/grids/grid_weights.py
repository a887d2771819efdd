"""Sample weights of a grid: arrays in memory, or variables on some of the sample dimensions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emdist.errors import WeightError
from emdist.interfaces import Floats
from emdist.store.grids.arrangement import Arrangement
from emdist.store.grids.columns import Columns, picked_of
from emdist.store.grids.comparing import check_weights_along
from emdist.store.grids.members import StoredMembers
from emdist.store.grids.stored import StoredVariable
from emdist.store.grids.taken import taken_of, untaken
from emdist.store.grids.variables import Members
from emdist.store.sources.references import ArrayRef


def weights_on(
    weight: Floats | Members | ArrayRef | str | None,
    plan: Arrangement,
    members: Members,
    decode: str,
) -> Floats | Columns | None:
    """Return the sample weights as an array of the shape of the grid, or as a variable."""
    if weight is None:
        return None
    if isinstance(weight, np.ndarray):
        if weight.shape not in (plan.shape, (int(np.prod(plan.shape)),)):
            raise WeightError(
                f"Sample weights have shape {weight.shape}, expected the shape of the grid, "
                f"{plan.shape}, or one for each of {int(np.prod(plan.shape))} rows."
            )
        return weight.reshape(plan.shape)
    own = members
    if isinstance(weight, str):
        variable = members.variable(weight)
    else:
        own = StoredMembers(weight, decode) if isinstance(weight, ArrayRef) else weight
        variable = own.only()
        known = {dim for one in plan.variables for dim in one.dims}
        alone = len(variable.dims) == len(plan.samples) == 1 and variable.dims[0] not in known
        if alone and isinstance(variable, StoredVariable):
            variable = replace(variable, dims=plan.samples)
    sizes = {
        dim: n
        for one in map(untaken, plan.variables)
        for dim, n in zip(one.dims, one.shape, strict=True)
        if dim in plan.samples
    }
    for dim, size in zip(variable.dims, variable.shape, strict=True):
        if sizes.get(dim) != size:
            named = zip(variable.dims, variable.shape, strict=True)
            raise WeightError(
                f"The weights {variable.name} have the dimensions "
                f"{', '.join(f'{one} ({n})' for one, n in named)}; expected some of the sample "
                f"dimensions {', '.join(plan.samples)}, with as many positions as the variables."
            )
        check_weights_along(
            dim, variable.name or "the weights", own.coordinate(dim), members.coordinate(dim)
        )
    return picked_of(taken_of(variable, dict(plan.taken)), {}, plan.samples, ())
