"""Optional abilities of a family: moments, marginals, conditionals, sums of two variables.

EM needs none of them. `emdist.mixtures` refuses an operation if the family lacks the ability for
it. All parameters here are in the units of the data, with the origin added.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Floats

#: The indices of m features, (m,), distinct and in 0..d-1.
Features: TypeAlias = NDArray[np.int64]

#: A family, and the parameters of its components.
Components: TypeAlias = tuple[Any, Any]


@runtime_checkable
class HasMoments(Protocol):
    """A family whose components have a mean and a covariance in closed form."""

    def component_means(self, params: Any) -> Floats:
        """Return the expected row of each component: (k, d)."""

    def within(self, params: Any, weights: Floats) -> Floats:
        """Return the covariances of the components, summed with `weights` (k,): (d, d)."""


@runtime_checkable
class Posteriors(Protocol):
    """A family whose parameters describe posteriors of components."""

    def expected_components(self, params: Any) -> Components:
        """Return the family without posteriors, and the expected parameters of its components."""


@runtime_checkable
class Marginals(Protocol):
    """A family whose marginal and conditional distributions are in a family too."""

    def marginal(self, params: Any, features: Features) -> Components:
        """Return the marginal components of `features`, in that order."""

    def conditional(
        self, params: Any, kept: Features, observed: Features, values: Floats
    ) -> Components:
        """Return the components of features `kept`, given `values` (m,) of features `observed`."""

    def slopes(self, params: Any, kept: Features, observed: Features) -> Floats | None:
        """Return how the mean of `kept` changes per unit of `observed`: (k, a, b).

        The result is None if the mean does not change.
        """


@runtime_checkable
class Convolutions(Protocol):
    """A family that contains the sum of two independent variables of the family."""

    def convolved(self, params: Any, other: Any, theirs: Any) -> Components:
        """Return the components of sums of two variables, for all pairs of components.

        One is of k components with `params` of this family, the other of l components with
        `theirs` of the family `other`. The pair (i, j) has the index ``i l + j``.
        """


@runtime_checkable
class Widening(Protocol):
    """A family that is a special case of a wider one."""

    wider: ClassVar[type[Any]]

    def widened(self, params: Any) -> Components:
        """Return the same components as members of the family `wider`."""


class IndependentFeatures:
    """Base class of families whose features are independent given the component.

    It needs their method `marginal`.
    """

    def conditional(
        self: Any, params: Any, kept: Features, observed: Features, values: Floats
    ) -> Components:
        """Return the marginal: given the component, `kept` does not depend on `observed`."""
        own: Components = self.marginal(params, kept)
        return own

    def slopes(self, params: Any, kept: Features, observed: Features) -> None:
        """Return None: the means of a component do not depend on other features."""


def pairwise_sums(a: Array, b: Array) -> Array:
    """Return the sums of each entry of `a` (k, ...) and each of `b` (l, ...): (k l, ...).

    The sum of entries i and j has the index ``i l + j``.
    """
    sums: Array = a[:, None] + b[None]
    return sums.reshape(-1, *a.shape[1:])
