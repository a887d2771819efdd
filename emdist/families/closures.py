"""What a family may state besides EM: moments, marginals, conditionals, sums of two variables.

A family without one of these fits and labels all the same; `emdist.mixtures` refuses the operation
that would need it. All parameters are in the units of the data here, origin added.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emdist.interfaces import Array, Floats

#: Indices of features: (m,), distinct, in 0..d-1.
Features: TypeAlias = NDArray[np.int64]

#: A family and the parameters of its components.
Components: TypeAlias = tuple[Any, Any]


@runtime_checkable
class Moments(Protocol):
    """Components that have a mean and a covariance."""

    def component_means(self, params: Any) -> Floats:
        """(k, d) expectation of a row."""

    def within(self, params: Any, weights: Floats) -> Floats:
        """(d, d) covariances of the components, summed with `weights` (k,)."""


@runtime_checkable
class Posteriors(Protocol):
    """Components that are posteriors of components."""

    def expected_components(self, params: Any) -> Components:
        """The family without posteriors, and its components as they are expected."""


@runtime_checkable
class Marginals(Protocol):
    """Components whose features, some of them alone or given the others, have a family too."""

    def marginal(self, params: Any, features: Features) -> Components:
        """The components of `features` alone, in that order."""

    def conditional(
        self, params: Any, kept: Features, observed: Features, values: Floats
    ) -> Components:
        """The components of features `kept` where features `observed` have `values` (m,)."""

    def slopes(self, params: Any, kept: Features, observed: Features) -> Floats | None:
        """(k, a, b) what the mean of `kept` gains per unit of `observed`; None for nothing."""


@runtime_checkable
class Convolutions(Protocol):
    """Components whose sum with independent ones of the same family has that family too."""

    def convolved(self, params: Any, other: Any, theirs: Any) -> Components:
        """All pairs, `params` of this family and `theirs` of `other`: pair (i, j) at i l + j."""


@runtime_checkable
class Widening(Protocol):
    """A family that is a special case of a wider one."""

    wider: ClassVar[type[Any]]

    def widened(self, params: Any) -> Components:
        """The same components as members of `wider`."""


class IndependentFeatures:
    """For families with a `marginal` whose features are independent given the component."""

    def conditional(
        self: Any, params: Any, kept: Features, observed: Features, values: Floats
    ) -> Components:
        """Their marginal: given the component, what was observed tells nothing more."""
        own: Components = self.marginal(params, kept)
        return own

    def slopes(self, params: Any, kept: Features, observed: Features) -> None:
        """None: the means of a component do not move."""


def pairwise_sums(a: Array, b: Array) -> Array:
    """Every entry of `a` (k, ...) plus every one of `b` (l, ...): (k l, ...), `b` running first."""
    sums: Array = a[:, None] + b[None]
    return sums.reshape(-1, *a.shape[1:])
