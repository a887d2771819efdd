"""Factors of covariances, checks for collapses, and moments, for the five Gaussian families."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emdist.errors import CollapseError
from emdist.families.base import L, MeansAsLocations
from emdist.families.closures import Features
from emdist.interfaces import Floats, Numerics
from emdist.sums import Sums

#: The share of the total weight below which nothing is divided by the weight of a component. It is
#: far below the share at which the policy for collapses calls a component empty.
DUST = 10 * float(np.finfo(np.float64).eps)

#: An option that is added to variances: finite and not negative.
Width: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ADVICE = (
    "Raise reg_covar, ask for fewer components, drop constant or duplicate features, "
    "or set fit.on_collapse to 'reseed' or 'drop'."
)


class RealRows(MeansAsLocations[L]):
    """Base class of families of real numbers, from which the mean of the data is subtracted.

    `reg_covar` makes components wider. It does not correspond to a prior.
    """

    @property
    def shifted(self) -> bool:
        """True: the mean of the data is subtracted from rows."""
        return True

    @property
    def approximation(self) -> str:
        """Why the M-step misses the exact maximum: `reg_covar`. Empty if it is 0."""
        if not getattr(self, "reg_covar", 0.0):
            return ""
        return (
            "reg_covar is added to variances after they are estimated, so narrow components do "
            "not reach the maximum; lower reg_covar"
        )

    def translate(self, params: L, shift: Floats) -> L:
        values: Any = params
        moved: L = replace(values, means=params.means + shift)
        return moved


def by_feature(n: Floats) -> Floats:
    """Return weights of components that divide (k, d) arrays: (k, 1), or (k, d) as they are.

    They are (k, d) if features have missing values, so that each is observed in other rows.
    """
    return n[:, None] if n.ndim == 1 else n


def about_mean(
    sums: Sums, pivot: Floats, numerics: Numerics
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return weights, new means, shifts of the means from the pivot, and second moments.

    Weights are (k, 1) or (k, d), means and shifts (k, d). If `numerics` is centred, the pivot is
    `pivot`, the means of the pass; otherwise it is the origin. The second moments are about the
    pivot, so ``E[(x - mean)^2] = second - shift^2`` in both cases.
    """
    d = pivot.shape[1]
    n = np.maximum(by_feature(sums["n"]), DUST * sums["weight"])
    shift = sums["t"][:, :d] / n
    about = pivot if numerics.centred else np.zeros_like(pivot)
    return n, about + shift, shift, sums["t"][:, d:] / n


def indefinite(covariances: Floats) -> NDArray[np.bool_]:
    """Return which of k covariances (k, d, d) are singular within the accuracy of float64: (k,)."""
    return _lower(covariances)[1]


def _lower(covariances: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return Cholesky factors (k, d, d), and which covariances have no usable factor (k,)."""
    lower: Floats = np.full(covariances.shape, np.nan)
    try:
        lower = np.asarray(np.linalg.cholesky(covariances), np.float64)
    except np.linalg.LinAlgError:  # At least one is not positive definite, so try each alone.
        for k, covariance in enumerate(covariances):
            with suppress(np.linalg.LinAlgError):
                lower[k] = np.linalg.cholesky(covariance)
    # `left` is the variance of each feature given the features before it. If it is less than
    # `floor` times the variance, it consists of rounding errors, whatever the scale of features.
    left = np.diagonal(lower, axis1=1, axis2=2) ** 2
    of = np.diagonal(covariances, axis1=1, axis2=2)
    floor = 16 * float(np.sqrt(covariances.shape[1]) * np.finfo(np.float64).eps)
    return lower, np.asarray(~(left > floor * of).all(axis=1))


def positive(variances: Floats, what: str) -> Floats:
    """Return `variances` if all are positive and finite; CollapseError otherwise."""
    bad = ~(np.isfinite(variances) & (variances > 0))
    if bad.any():
        rows = np.unique(np.argwhere(bad)[:, 0])[:5].tolist() if variances.ndim else ""
        features = np.flatnonzero(bad.any(axis=0))[:5].tolist() if variances.ndim > 1 else ""
        where = f" in feature(s) {features}" if features else ""
        raise CollapseError(
            f"The {what} of component(s) {rows} is not positive{where}: their rows are equal "
            f"there, or differ by too little for float64 to square. {ADVICE}"
        )
    return variances


def factor(covariance: Floats, what: str) -> tuple[Floats, float]:
    """Return ``L^-T`` and ``log |L^-T|`` for one covariance (d, d) with the Cholesky factor L.

    ``L^-T (L^-T)^T`` is the inverse of the covariance. `what` names the covariance in the message
    of the CollapseError if it is singular.
    """
    lower, bad = _lower(covariance[None])
    if bad[0]:
        raise _singular(covariance, what)
    inverse = np.linalg.solve(lower[0], np.eye(len(covariance)))
    return np.ascontiguousarray(inverse.T), float(np.log(np.diag(inverse)).sum())


def factors(covariances: Floats) -> tuple[Floats, Floats]:
    """Return what `factor` does for each of k covariances: (k, d, d) and (k,)."""
    lower, bad = _lower(covariances)
    if bad.any():
        first = int(np.argmax(bad))
        raise _singular(covariances[first], f"covariance of component {first}")
    inverse = np.linalg.solve(lower, np.eye(lower.shape[1]))
    logs = np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
    return np.ascontiguousarray(inverse.transpose(0, 2, 1)), logs


def _singular(covariance: Floats, what: str) -> CollapseError:
    """Return an error that says why a covariance (d, d) is singular.

    It names the features that are constant, or those that follow from each other.
    """
    variances = np.diag(covariance)
    flat = np.flatnonzero(~(variances > 0))
    if len(flat) or not np.isfinite(covariance).all():
        return CollapseError(
            f"The {what} is not positive definite: its rows are equal in feature(s) "
            f"{flat[:5].tolist()}, or differ by too little for float64 to square. {ADVICE}"
        )
    scale = np.sqrt(variances)
    vector = np.abs(np.linalg.eigh(covariance / np.outer(scale, scale))[1][:, 0])
    tied = np.flatnonzero(vector > 0.05 * vector.max())
    return CollapseError(
        f"The {what} is not positive definite in float64: features "
        f"{tied[:5].tolist()}{' and more' if len(tied) > 5 else ''} follow from each other to "
        "15 digits in its rows. There are too few distinct rows, or the features are copies or "
        "sums of each other. Set reg_covar, which is added to variances, to "
        f"{1e-10 * variances.max():.0e} or more, leave such features out, ask for fewer "
        "components, or set fit.on_collapse to 'reseed' or 'drop'."
    )


def conditioned(covariances: Floats, kept: Features, observed: Features) -> tuple[Floats, Floats]:
    """Return slopes (k, a, b) of `kept` on `observed`, and conditional covariances (k, a, a).

    These are ``S_ab S_bb^-1`` and ``S_aa - S_ab S_bb^-1 S_ba`` (Bishop 2006, 2.3.1), where a stands
    for the features `kept` and b for the features `observed`. Both follow from the Cholesky factor
    of the covariances (k, d, d) in the order (b, a). The last block of this factor is a factor of
    the conditional covariance, which is therefore positive definite. The difference might not be.
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
    # across = slopes @ lower_b, where lower_b is the factor of S_bb.
    slopes = np.linalg.solve(lower[:, :b, :b].transpose(0, 2, 1), across.transpose(0, 2, 1))
    return slopes.transpose(0, 2, 1), rest @ rest.transpose(0, 2, 1)
