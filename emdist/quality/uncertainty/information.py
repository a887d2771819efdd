"""Standard errors from the empirical Fisher information: one pass over the rows.

The information matrix is the sum of the outer products of the scores of rows (McLachlan and
Krishnan 2008, section 4.3; Meilijson 1989), weighted by their sample weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.stats import norm

from emdist.composition.model import kind_of, make_family, make_model
from emdist.errors import ConfigError, DataError
from emdist.fit.assigned import assigned_in_parts
from emdist.fit.fitted import Fitted
from emdist.fit.observed import observed_source
from emdist.interfaces import Engine, Floats, Model, Numerics, Source
from emdist.models.params import MixtureParams
from emdist.quality.uncertainty.parameters import Estimate, ParameterArray, parameters_of
from emdist.quality.uncertainty.scores import FamilyScores, FreeArray, scored, simplex
from emdist.settings.config import ModelSection
from emdist.sums import Sums

#: The most free parameters: the matrix of so many takes 32 MB for each block that is in memory.
LARGEST = 2000
#: Bytes of the scores of a tile of rows.
_TILE = 4 << 20
#: The smallest pivot of the correlation matrix of scores, relative to 1.
_SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Information:
    """The estimates of a fitted model with standard errors from its information matrix.

    Attributes
    ----------
    estimates
        The parameters with their standard errors and normal intervals.
    rows
        The number of rows with weight > 0.
    free
        The number of free parameters.
    away
        How many standard errors, at most, a parameter is from the maximum of the likelihood, by
        one step of scoring. It is near 0 after a fit that has converged without a prior.
    """

    estimates: tuple[Estimate, ...]
    rows: int
    free: int
    away: float


@dataclass(frozen=True)
class InformationStep:
    """The task that sums the scores of the rows of one block, and their outer products."""

    source: Source
    model: Model[Any]
    params: Any
    origin: Floats
    numerics: Numerics
    made: Callable[[], tuple[FamilyScores, Any, Floats]]
    free: int

    def __call__(self, i: int) -> Sums:
        block = self.source.read(i)
        x, weight = block.valid()
        components, weights, shares = self.made()
        matrix, gradient = np.zeros((self.free, self.free)), np.zeros(self.free)
        k = len(shares) - (len(shares) > self.params.weights.shape[0])
        step = max(1, _TILE // (8 * max(self.free, k * x.shape[1] * 4)))
        at = (self.model, block, self.params, self.origin, self.numerics)
        for rows, found in assigned_in_parts(*at, len(shares)):
            resp: Any = found.resp
            for a in range(rows.start, rows.stop, step):
                b = min(a + step, rows.stop)
                own = resp[a - rows.start : b - rows.start].astype(np.float64)
                here = x[a:b].astype(np.float64) - self.origin
                of_weights = _of_weights(own, shares, weights)
                s = np.concatenate([of_weights, components.score(here, own[:, :k])], axis=1)
                scaled = s if weight is None else s * weight[a:b, None]
                matrix += scaled.T @ s
                gradient += scaled.sum(axis=0)
        count = len(x) if weight is None else np.count_nonzero(weight > 0)
        return Sums({"matrix": matrix, "gradient": gradient, "rows": np.array(float(count))})


def _of_weights(resp: Floats, shares: Floats, basis: Any) -> Floats:
    """Return the scores of mixture weights (m, f)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(shares > 0, resp / shares, 0.0)
    return np.asarray(each @ basis)


@dataclass(frozen=True)
class _Made:
    """Makes the scores of a model where they are needed, because functions are not pickled."""

    section: ModelSection
    params: MixtureParams[Any]
    counts: Floats
    width: int

    def __call__(self) -> tuple[FamilyScores, Any, Floats]:
        shares = np.asarray(self.params.shares, np.float64)
        k = len(self.params.weights)
        components = scored(
            make_family(self.section), self.params.components, self.counts, tuple(range(self.width))
        )
        if self.section.uniform_weights or self.section.weights == "uniform":
            # The noise alone has a weight that was estimated.
            none = np.zeros((len(shares), 0))
            one = np.append(np.full(k, -1.0 / k), 1.0)[:, None]
            weights = sp.csc_matrix(one if len(shares) > k else none)
        else:
            weights = simplex(shares > 0)
        return components, weights, shares


def check_smooth(section: ModelSection, what: str, remedy: str) -> None:
    """Raise ConfigError unless the likelihood of a model is a smooth function of its parameters.

    `what` needs that, and `remedy` says what to do instead.
    """
    kind = kind_of(section)
    if kind == "mixture" and section.chain is None and section.assignment == "soft":
        return
    why = "has no likelihood that is smooth in its parameters"
    if section.chain is not None:
        why = "has rows that depend on one another"
    elif kind == "posterior":
        why = "has posteriors in place of estimates"
    elif kind == "mixture":
        why = f"is fitted by {section.assignment} assignment, not to the largest likelihood"
    raise ConfigError(f"{what} needs a mixture that is fitted by EM, but the model {why}. {remedy}")


def information(
    section: ModelSection,
    fitted: Fitted,
    source: Source,
    engine: Engine,
    level: float = 0.95,
    done: Any = None,
) -> Information:
    """Return standard errors of a fitted model, from one pass over the rows of `source`.

    `source` is prepared. `done` is called with the number of finished blocks.

    Raises
    ------
    ConfigError
        If the model has no smooth likelihood, or too many parameters.
    DataError
        If the rows do not determine all parameters.
    """
    # Rows of a sequence cannot be resampled one by one either.
    chain = section.chain is not None
    remedy = "Standard errors of such models are not known." if chain else "Use the bootstrap."
    check_smooth(section, "The information matrix", remedy)
    fitted.check_features(source)
    model = make_model(section)
    params = fitted.params
    counts = np.asarray(params.shares[: len(params.weights)] * fitted.spread.weight)
    made = _Made(section, params, counts, fitted.n_features)
    components, weights, _ = made()
    pieces = components.pieces
    free = weights.shape[1] + sum(piece.basis.shape[1] for piece in pieces)
    if free > LARGEST:
        raise ConfigError(
            f"The model has {free:,} free parameters. The information matrix of so many takes "
            f"{free**2 * 8 / 2**20:,.0f} MiB for each thread; expected at most {LARGEST:,} "
            "parameters. Use the bootstrap."
        )
    seen = observed_source(source, model)
    numerics = fitted.numerics(model, source.dtype)
    task = InformationStep(seen, model, params, fitted.spread.origin, numerics, made, free)
    sums = engine.map_reduce(task, range(len(seen)), done)
    covariance = _inverse(sums["matrix"], int(sums["rows"]))
    errors = np.sqrt(np.diag(covariance))
    step = np.abs(covariance @ sums["gradient"])
    away = float(np.max(step / np.where(errors > 0, errors, 1.0), initial=0.0))
    found = _estimates(section, model, fitted, weights, pieces, covariance, level)
    return Information(found, int(sums["rows"]), free, away)


def _inverse(matrix: Floats, rows: int) -> Floats:
    """Return the inverse of the information matrix."""
    scale = np.sqrt(np.diag(matrix))
    if (scale > 0).all():
        unit = matrix / scale / scale[:, None]
        try:
            factor = cho_factor(unit, lower=True)
        except LinAlgError:
            factor = None
        if factor is not None and np.diag(factor[0]).min() ** 2 > _SINGULAR:
            found: Floats = cho_solve(factor, np.eye(len(matrix)))
            return found / scale / scale[:, None]
    raise DataError(
        f"{rows:,} rows do not determine the {len(matrix):,} free parameters of the model: their "
        "information matrix is singular. Ask for fewer components or a simpler covariance, or use "
        "the bootstrap."
    )


def _estimates(
    section: ModelSection, model: Model[Any], fitted: Fitted, weights: Any,
    pieces: tuple[FreeArray, ...], covariance: Floats, level: float,
) -> tuple[Estimate, ...]:  # fmt: skip
    shown = {one.name: one for one in parameters_of(section, model, fitted)}
    wide, at, found = float(norm.ppf(0.5 + level / 2)), 0, []
    of_weights = FreeArray("weights", shown["weights"].values, weights, ())
    for piece in (of_weights, *pieces):
        own = slice(at, at + piece.basis.shape[1])
        at = own.stop
        variances = np.asarray(piece.basis.multiply(piece.basis @ covariance[own, own]).sum(axis=1))
        errors = np.sqrt(variances).reshape(piece.values.shape)
        errors[errors == 0] = np.nan  # not free, or at the edge of what it can be
        values = shown[piece.name].values if piece.name in shown else piece.values
        parameter = ParameterArray(piece.name, values, piece.columns)
        found.append(Estimate(parameter, errors, values - wide * errors, values + wide * errors))
    return tuple(found)
