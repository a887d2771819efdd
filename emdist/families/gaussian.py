"""What the five Gaussian families share: factors, guards and moments."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.errors import CollapseError
from emdist.families.closures import Features
from emdist.interfaces import Floats, Numerics, Spread
from emdist.sums import Sums

#: Share of the total weight below which a component's weight is no longer divided by: far below
#: what the collapse policy calls a component without rows.
DUST = 10 * float(np.finfo(np.float64).eps)

#: An option that widens components: finite and not negative.
Width: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ADVICE = (
    "Raise reg_covar, ask for fewer components, drop constant or duplicate features, "
    "or set on_collapse to 'reseed' or 'drop'."
)


class Located(Protocol):
    """Parameters with a mean per component."""

    @property
    def means(self) -> Floats: ...


class MeansAsLocations:
    """For families whose components lie at their means."""

    def locations(self, params: Located) -> Floats:
        """(k, d) means."""
        return params.means

    def component_means(self, params: Located) -> Floats:
        """(k, d) means."""
        return params.means


class Uninformed:
    """For families whose options say all: no prior depends on the data."""

    @property
    def needs_covariance(self) -> bool:
        """No."""
        return False

    def informed(self, spread: Spread) -> Self:
        """The family itself."""
        return self


class RealRows(MeansAsLocations, Uninformed):
    """For families of any real numbers, taken relative to their mean."""

    @property
    def shifted(self) -> bool:
        """Rows are taken relative to the data's mean."""
        return True

    @property
    def domain(self) -> None:
        """Any real numbers."""
        return None

    @property
    def approximation(self) -> str:
        """Variances are widened after they have been estimated."""
        if not getattr(self, "reg_covar", 0.0):
            return ""
        return (
            "reg_covar is added to variances after they are estimated, which is not their "
            "maximum where components are narrow; lower reg_covar"
        )

    def log_prior(self, params: object) -> float:
        """None is added: `reg_covar` widens components without one."""
        return 0.0


class UnsharedBase:
    """For families whose score leaves nothing out: no shared statistics, no base."""

    def shared(self, x: Floats, weight: Floats | None) -> dict[str, Floats]:
        """Nothing is gathered once."""
        return {}

    def shared_base(
        self, params: object, shared: Mapping[str, Floats], numerics: Numerics
    ) -> float:
        """Zero."""
        return 0.0


def by_feature(n: Floats) -> Floats:
    """Weights of components as (k, 1), or (k, d) where each feature was observed in other rows."""
    return n[:, None] if n.ndim == 1 else n


def about_mean(
    sums: Sums, pivot: Floats, numerics: Numerics
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights (k, 1) or (k, d), new means (k, d), shift from the pivot (k, d) and second moments.

    In centred numerics the moments were taken about `pivot`, the means of the pass; otherwise
    about the origin. Either way ``E[(x - mean)^2] = second - shift^2``.
    """
    d = pivot.shape[1]
    n = np.maximum(by_feature(sums["n"]), DUST * sums["weight"])
    shift = sums["t"][:, :d] / n
    about = pivot if numerics.centred else np.zeros_like(pivot)
    return n, about + shift, shift, sums["t"][:, d:] / n


def indefinite(covariances: Floats) -> NDArray[np.bool_]:
    """Which of k covariances (k, d, d) have no Cholesky factor: (k,)."""
    bad = np.zeros(len(covariances), bool)
    with suppress(np.linalg.LinAlgError):  # of any: most often there is none
        np.linalg.cholesky(covariances)
        return bad
    for k, covariance in enumerate(covariances):
        try:
            np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            bad[k] = True
    return bad


def positive(variances: Floats, what: str) -> Floats:
    """`variances` if all are positive and finite; CollapseError otherwise."""
    bad = ~(np.isfinite(variances) & (variances > 0))
    if bad.any():
        where = np.unique(np.argwhere(bad)[:, 0])[:5] if variances.ndim else ""
        raise CollapseError(
            f"The {what} of component(s) {np.atleast_1d(where).tolist()} is not positive: "
            f"a component has collapsed onto too few distinct rows. {ADVICE}"
        )
    return variances


def factor(covariance: Floats, what: str) -> tuple[Floats, float]:
    """``(L^-T, log |L^-T|)`` of one covariance (d, d), so that ``L^-T (L^-T)^T`` inverts it."""
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise CollapseError(
            f"The {what} is not positive definite: the component has collapsed onto fewer "
            f"distinct rows than features. {ADVICE}"
        ) from None
    inverse = np.linalg.solve(lower, np.eye(len(lower)))
    return np.ascontiguousarray(inverse.T), float(np.log(np.diag(inverse)).sum())


def factors(covariances: Floats) -> tuple[Floats, Floats]:
    """`factor` of each of k covariances: (k, d, d) and (k,)."""
    try:
        lower = np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        for k, covariance in enumerate(covariances):
            factor(covariance, f"covariance of component {k}")
        raise
    inverse = np.linalg.solve(lower, np.eye(lower.shape[1]))
    logs = np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
    return np.ascontiguousarray(inverse.transpose(0, 2, 1)), logs


def conditioned(covariances: Floats, kept: Features, observed: Features) -> tuple[Floats, Floats]:
    """Slopes (k, a, b) of `kept` on `observed`, and covariances (k, a, a) of what they leave.

    ``S_ab S_bb^-1`` and ``S_aa - S_ab S_bb^-1 S_ba`` (Bishop 2006, 2.3.1), from the factor of the
    covariances (k, d, d) in the order (b, a): its last block is a factor of the second, which is
    therefore positive definite where a difference might not be.
    """
    b = len(observed)
    order = np.concatenate([observed, kept])
    try:
        lower = np.linalg.cholesky(covariances[:, order[:, None], order])
    except np.linalg.LinAlgError:
        where = np.flatnonzero(indefinite(covariances))[:5].tolist()
        raise CollapseError(
            f"The covariance of component(s) {where} is not positive definite. {ADVICE}"
        ) from None
    rest, across = lower[:, b:, b:], lower[:, b:, :b]
    # across = slopes lower_b, with lower_b the factor of S_bb.
    slopes = np.linalg.solve(lower[:, :b, :b].transpose(0, 2, 1), across.transpose(0, 2, 1))
    return slopes.transpose(0, 2, 1), rest @ rest.transpose(0, 2, 1)


def replaced(values: Floats, index: NDArray[np.int64], new: Floats | float) -> Floats:
    """A copy of `values` with entries `index` along the first axis set to `new`."""
    out = values.copy()
    out[index] = new
    return out
