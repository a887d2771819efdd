"""What the five Gaussian families share: factors, guards and moments."""

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

#: Share of the total weight below which a component's weight is no longer divided by: far below
#: what the collapse policy calls a component without rows.
DUST = 10 * float(np.finfo(np.float64).eps)

#: An option that widens components: finite and not negative.
Width: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

ADVICE = (
    "Raise reg_covar, ask for fewer components, drop constant or duplicate features, "
    "or set fit.on_collapse to 'reseed' or 'drop'."
)


class RealRows(MeansAsLocations[L]):
    """For families of any real numbers, taken relative to their mean.

    No prior belongs to `reg_covar`, which only widens components.
    """

    @property
    def shifted(self) -> bool:
        """Rows are taken relative to the data's mean."""
        return True

    @property
    def approximation(self) -> str:
        """Variances are widened after they have been estimated."""
        if not getattr(self, "reg_covar", 0.0):
            return ""
        return (
            "reg_covar is added to variances after they are estimated, which is not their "
            "maximum where components are narrow; lower reg_covar"
        )

    def translate(self, params: L, shift: Floats) -> L:
        values: Any = params
        moved: L = replace(values, means=params.means + shift)
        return moved


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
    """Which of k covariances (k, d, d) are singular, as far as float64 can tell: (k,)."""
    return _lower(covariances)[1]


def _lower(covariances: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Cholesky factors (k, d, d), and which covariances have none that means anything: (k,)."""
    lower: Floats = np.full(covariances.shape, np.nan)
    try:
        lower = np.asarray(np.linalg.cholesky(covariances), np.float64)
    except np.linalg.LinAlgError:  # of any: most often there is none
        for k, covariance in enumerate(covariances):
            with suppress(np.linalg.LinAlgError):
                lower[k] = np.linalg.cholesky(covariance)
    # What those before leave of a feature's variance: whatever the scale of the features, less
    # than this is what rounding has made of nothing.
    left = np.diagonal(lower, axis1=1, axis2=2) ** 2
    of = np.diagonal(covariances, axis1=1, axis2=2)
    floor = 16 * float(np.sqrt(covariances.shape[1]) * np.finfo(np.float64).eps)
    return lower, np.asarray(~(left > floor * of).all(axis=1))


def positive(variances: Floats, what: str) -> Floats:
    """`variances` if all are positive and finite; CollapseError otherwise."""
    bad = ~(np.isfinite(variances) & (variances > 0))
    if bad.any():
        rows = np.unique(np.argwhere(bad)[:, 0])[:5].tolist() if variances.ndim else ""
        features = np.flatnonzero(bad.any(axis=0))[:5].tolist() if variances.ndim > 1 else ""
        where = f" in feature(s) {features}" if features else ""
        raise CollapseError(
            f"The {what} of component(s) {rows} is not positive{where}: their rows are equal "
            f"there, or differ by less than float64 can square. {ADVICE}"
        )
    return variances


def factor(covariance: Floats, what: str) -> tuple[Floats, float]:
    """``(L^-T, log |L^-T|)`` of one covariance (d, d), so that ``L^-T (L^-T)^T`` inverts it."""
    lower, bad = _lower(covariance[None])
    if bad[0]:
        raise _singular(covariance, what)
    inverse = np.linalg.solve(lower[0], np.eye(len(covariance)))
    return np.ascontiguousarray(inverse.T), float(np.log(np.diag(inverse)).sum())


def factors(covariances: Floats) -> tuple[Floats, Floats]:
    """`factor` of each of k covariances: (k, d, d) and (k,)."""
    lower, bad = _lower(covariances)
    if bad.any():
        first = int(np.argmax(bad))
        raise _singular(covariances[first], f"covariance of component {first}")
    inverse = np.linalg.solve(lower, np.eye(lower.shape[1]))
    logs = np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
    return np.ascontiguousarray(inverse.transpose(0, 2, 1)), logs


def _singular(covariance: Floats, what: str) -> CollapseError:
    """Why a covariance (d, d) is singular: features that are constant, or follow from others."""
    variances = np.diag(covariance)
    flat = np.flatnonzero(~(variances > 0))
    if len(flat) or not np.isfinite(covariance).all():
        return CollapseError(
            f"The {what} is not positive definite: its rows are equal in feature(s) "
            f"{flat[:5].tolist()}, or differ by less than float64 can square. {ADVICE}"
        )
    scale = np.sqrt(variances)
    vector = np.abs(np.linalg.eigh(covariance / np.outer(scale, scale))[1][:, 0])
    tied = np.flatnonzero(vector > 0.05 * vector.max())
    return CollapseError(
        f"The {what} is not positive definite in float64: features {tied[:5].tolist()}"
        f"{' and more' if len(tied) > 5 else ''} follow from each other to 15 digits among its "
        "rows. These are too few distinct rows, or the features are copies or sums of each other. "
        f"Set reg_covar, which is added to variances, to {1e-10 * variances.max():.0e} or more, "
        "leave such features out, ask for fewer components, or set fit.on_collapse to 'reseed' or "
        "'drop'."
    )


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
