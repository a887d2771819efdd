"""`LabelOutput`: what every output of a labelling says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Assigned


@dataclass(frozen=True)
class LabelOutput:
    """One output of a labelling, which is one array of the group.

    Attributes
    ----------
    place
        Its place in lists.
    dtype
        The dtype of the array.
    meaning
        What it is, as the attribute ``long_name`` of the array.
    compute
        Given what was assigned to m rows and the columns of responsibilities that were asked for,
        returns (m,), or (m, c) for an output of components.
    components
        Where the array has its dimension of components: nowhere, after or before those of the rows.
    chosen
        Whether it has only the components that were asked for.
    from_posterior
        Whether it is computed from responsibilities.
    of_mixtures
        Whether it tells nothing about models without posterior probabilities, such as K-means.
    of_sequences
        Whether it is computed from posteriors given the rows so far, which only models of sequences
        have.
    """

    place: int
    dtype: str
    meaning: str
    compute: Callable[[Assigned, NDArray[np.int64]], Array]
    components: Literal["", "last", "first"] = ""
    chosen: bool = False
    from_posterior: bool = False
    of_mixtures: bool = False
    of_sequences: bool = False


def posterior(found: Assigned) -> Array:
    """Return the responsibilities (m, k) that an output is made of."""
    assert found.resp is not None
    return found.resp


def asked(values: Array | None) -> Array:
    """Return values (m, k) that were asked for."""
    assert values is not None
    return values
