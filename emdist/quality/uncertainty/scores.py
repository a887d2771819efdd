"""Scores of rows: derivatives of their log-likelihood by the parameters of components, by family.

The derivative of the log-likelihood of a mixture is that of the complete data, given the rows
(Fisher's identity; Louis 1982): responsibilities times the derivatives of log-densities. A missing
value has no part in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import helmert

from emdist.errors import ConfigError
from emdist.families.bernoulli import Bernoulli
from emdist.families.binomial import Binomial
from emdist.families.categorical import Categorical
from emdist.families.diagonal import Diagonal
from emdist.families.full import Full
from emdist.families.isotropic import Isotropic
from emdist.families.multinomial import Multinomial
from emdist.families.poisson import Poisson
from emdist.families.product import Product
from emdist.families.spherical import Spherical
from emdist.families.tied import Tied
from emdist.interfaces import Array, Floats

#: A probability or a rate that is expected in fewer rows is at the edge of what it can be: the
#: likelihood is not smooth there.
_EDGE = 0.5
#: Scores of rows (m, d) with responsibilities (m, k), as (m, f) for f free parameters.
Score = Callable[[Floats, Array], Floats]


@dataclass(frozen=True, eq=False)
class FreeArray:
    """One array of parameters, and how it follows from free parameters.

    Attributes
    ----------
    name
        The name of the array.
    values
        The values, relative to the origin.
    basis
        How the values change with the free parameters: sparse, (values, f).
    columns
        The features of the rows that it is about.
    """

    name: str
    values: Floats
    basis: Any
    columns: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FamilyScores:
    """The parameters of a family, and the scores of rows by the free ones.

    Attributes
    ----------
    pieces
        The arrays of parameters.
    score
        Returns the scores of rows, in the order of the pieces.
    """

    pieces: tuple[FreeArray, ...]
    score: Score


def scored(family: Any, params: Any, counts: Floats, columns: tuple[int, ...]) -> FamilyScores:
    """Return the scores of the components of a family, of which `columns` are its features.

    `counts` (k,) is the weight of the rows of each component.

    Raises
    ------
    ConfigError
        If the scores of the family are not known.
    """
    for kind, make in _FAMILIES.items():
        if type(family) is kind:
            return make(family, params, counts, columns)
    raise ConfigError(
        f"Standard errors from the information matrix are not known for {type(family).__name__}. "
        "Use the bootstrap."
    )


def simplex(inside: Any) -> Any:
    """Return a basis of changes of probabilities that keep their sum; those outside stay."""
    at = np.flatnonzero(inside)
    basis = sp.lil_matrix((len(inside), max(len(at) - 1, 0)))
    if len(at) > 1:
        basis[at] = helmert(len(at)).T
    return basis.tocsc()


def _chosen(inside: Any) -> Any:
    """Return a basis of the values that are free: ``inside`` says which."""
    flat = np.ravel(inside)
    return sp.identity(flat.size, format="csc")[:, np.flatnonzero(flat)]


def _symmetric(k: int, d: int) -> Any:
    """Return a basis of k symmetric matrices (d, d): one free number for each pair."""
    a, b = np.triu_indices(d)
    free = np.arange(len(a))
    rows = np.concatenate([a * d + b, (b * d + a)[a != b]])
    one = sp.csc_matrix(
        (np.ones(len(rows)), (rows, np.concatenate([free, free[a != b]]))), (d * d, len(a))
    )
    return sp.block_diag([one] * k, format="csc")


def _every(values: Floats) -> Any:
    return sp.identity(values.size, format="csc")


def _of_each(resp: Array, one: Floats) -> Floats:
    """Return responsibilities (m, k) times scores (m, k, f), as (m, k f)."""
    out: Floats = (resp[:, :, None] * one).reshape(len(resp), -1)
    return out


def _precise(z: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return ``P z`` (m, k, d) and P (m or 1, k, d, d), with P the precision of observed features.

    Rows and columns of features that a row lacks are 0.
    """
    m, k, d = z.shape
    lacks = np.isnan(z[:, 0])
    if not lacks.any():
        precision = np.asarray(np.linalg.inv(covariances), np.float64)
        return np.einsum("kab,mkb->mka", precision, z, optimize=True), precision[None]
    y, precisions = np.zeros((m, k, d)), np.zeros((m, k, d, d))
    patterns, own = np.unique(lacks, axis=0, return_inverse=True)
    for n, pattern in enumerate(patterns):
        rows, seen = np.flatnonzero(np.ravel(own) == n), np.flatnonzero(~pattern)
        precision = np.asarray(np.linalg.inv(covariances[:, seen[:, None], seen]), np.float64)
        part = z[np.ix_(rows, np.arange(k), seen)]
        y[np.ix_(rows, np.arange(k), seen)] = np.einsum("kab,mkb->mka", precision, part)
        precisions[np.ix_(rows, np.arange(k), seen, seen)] = precision[None]
    return y, precisions


def _upper(y: Floats, precision: Floats) -> Floats:
    """Return scores by the upper triangle of covariances, (m, k, d (d + 1) / 2)."""
    a, b = np.triu_indices(y.shape[-1])
    half = np.where(a == b, 0.5, 1.0)
    out: Floats = half * (y[..., a] * y[..., b] - precision[..., a, b])
    return out


def _full(family: Full, params: Any, counts: Floats, columns: tuple[int, ...]) -> FamilyScores:
    means, covariances = params.means, params.covariances
    k, d = means.shape

    def score(x: Floats, resp: Array) -> Floats:
        y, precision = _precise(x[:, None, :] - means, covariances)
        return np.concatenate([_of_each(resp, y), _of_each(resp, _upper(y, precision))], axis=1)

    pieces = (
        FreeArray("means", means, _every(means), columns),
        FreeArray("covariances", covariances, _symmetric(k, d), columns),
    )
    return FamilyScores(pieces, score)


def _tied(family: Tied, params: Any, counts: Floats, columns: tuple[int, ...]) -> FamilyScores:
    means, covariance = params.means, params.covariance
    k, d = means.shape

    def score(x: Floats, resp: Array) -> Floats:
        each = np.broadcast_to(covariance, (k, d, d))
        y, precision = _precise(x[:, None, :] - means, each)
        common = np.einsum("mk,mkf->mf", resp, _upper(y, precision))
        return np.concatenate([_of_each(resp, y), common], axis=1)

    pieces = (
        FreeArray("means", means, _every(means), columns),
        FreeArray("covariance", covariance, _symmetric(1, d), columns),
    )
    return FamilyScores(pieces, score)


def _diagonal(
    family: Diagonal, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    means, variances = params.means, params.variances

    def score(x: Floats, resp: Array) -> Floats:
        z = (x[:, None, :] - means) / variances
        width = 0.5 * (z * z - 1.0 / variances)
        parts = (_of_each(resp, np.nan_to_num(each)) for each in (z, width))
        return np.concatenate(list(parts), axis=1)

    pieces = (
        FreeArray("means", means, _every(means), columns),
        FreeArray("variances", variances, _every(variances), columns),
    )
    return FamilyScores(pieces, score)


def _spherical(
    family: Spherical, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    means, variances = params.means, params.variances

    def score(x: Floats, resp: Array) -> Floats:
        wide = variances[:, None]
        z = (x[:, None, :] - means) / wide
        width = 0.5 * np.nansum(z * z - 1.0 / wide, axis=2)
        return np.concatenate([_of_each(resp, np.nan_to_num(z)), resp * width], axis=1)

    pieces = (
        FreeArray("means", means, _every(means), columns),
        FreeArray("variances", variances, _every(variances), ()),
    )
    return FamilyScores(pieces, score)


def _isotropic(
    family: Isotropic, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    means = params.means

    def score(x: Floats, resp: Array) -> Floats:
        return _of_each(resp, np.nan_to_num((x[:, None, :] - means) / family.variance))

    return FamilyScores((FreeArray("means", means, _every(means), columns),), score)


def _counted(family: Any, params: Any, counts: Floats, columns: tuple[int, ...]) -> FamilyScores:
    """Return the scores of features that are independent, by their means."""
    means = family.bounded(params.means)
    n = counts[:, None]
    inside, variances = n * means > _EDGE, means
    if not isinstance(family, Poisson):
        most = np.broadcast_to(np.asarray(getattr(family, "trials", 1), np.float64), means.shape)
        inside = inside & (n * (most - means) > _EDGE)
        variances = means * (1.0 - means / most)
    basis = _chosen(inside)
    free = np.flatnonzero(np.ravel(inside))

    def score(x: Floats, resp: Array) -> Floats:
        return _of_each(resp, np.nan_to_num((x[:, None, :] - means) / variances))[:, free]

    return FamilyScores((FreeArray("means", means, basis, columns),), score)


def _shares(table: Floats, counts: Floats) -> tuple[Floats, Any]:
    """Return probabilities (t, c), and the basis of their changes: each row keeps its sum."""
    inside = counts[:, None] * table > _EDGE
    return table, sp.block_diag([simplex(one) for one in inside], format="csc")


def _categorical(
    family: Categorical, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    k, d, c = params.probabilities.shape
    table, basis = _shares(params.probabilities.reshape(k * d, c), np.repeat(counts, d))
    inverse = 1.0 / np.maximum(table, np.finfo(float).tiny).reshape(k, d * c)

    def score(x: Floats, resp: Array) -> Floats:
        hot = (x[:, :, None] == np.arange(c)).reshape(len(x), d * c)
        each = _of_each(resp, hot[:, None, :] * inverse)
        return np.asarray(each @ basis)

    return FamilyScores((FreeArray("probabilities", params.probabilities, basis, columns),), score)


def _multinomial(
    family: Multinomial, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    means = family.bounded(params.means)
    totals = means.sum(axis=1)
    p, basis = _shares(means / totals[:, None], counts * totals)

    def score(x: Floats, resp: Array) -> Floats:
        return np.asarray(_of_each(resp, x[:, None, :] / p) @ basis)

    return FamilyScores((FreeArray("proportions", p, basis, columns),), score)


def _product(
    family: Product, params: Any, counts: Floats, columns: tuple[int, ...]
) -> FamilyScores:
    groups = [
        (own, scored(part, values, counts, tuple(columns[j] for j in own)))
        for (own, part), values in zip(family.parts, params.parts, strict=True)
    ]

    def score(x: Floats, resp: Array) -> Floats:
        return np.concatenate([one.score(x[:, own], resp) for own, one in groups], axis=1)

    pieces = tuple(
        FreeArray(f"parts.{g}.{piece.name}", piece.values, piece.basis, piece.columns)
        for g, (_, one) in enumerate(groups)
        for piece in one.pieces
    )
    return FamilyScores(pieces, score)


_FAMILIES: dict[type[Any], Callable[[Any, Any, Floats, tuple[int, ...]], FamilyScores]] = {
    Full: _full,
    Tied: _tied,
    Diagonal: _diagonal,
    Spherical: _spherical,
    Isotropic: _isotropic,
    Bernoulli: _counted,
    Poisson: _counted,
    Binomial: _counted,
    Multinomial: _multinomial,
    Categorical: _categorical,
    Product: _product,
}
