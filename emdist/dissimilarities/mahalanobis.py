"""The squared Mahalanobis distance with a given matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emdist.dissimilarities.base import Expandable
from emdist.errors import ConfigError
from emdist.interfaces import Array, Floats

#: The rows of a square matrix, as a configuration gives them.
Matrix: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Mahalanobis(Expandable):
    """The squared Mahalanobis distance: ``D = (x - mu)^T A (x - mu)``. The centre is the mean.

    Attributes
    ----------
    matrix
        The matrix A, (d, d), symmetric and positive definite: the inverse of a covariance.
    covariance
        The inverse of A, (d, d). Exactly one of `matrix` and `covariance` must be given.
    """

    matrix: Matrix | None = None
    covariance: Matrix | None = None

    def __post_init__(self) -> None:
        if (self.matrix is None) == (self.covariance is None):
            raise ConfigError(
                "mahalanobis needs exactly one of the options matrix (A, the inverse of a "
                "covariance) and covariance, as a list of rows."
            )
        self.whitening()

    def whitening(self) -> Floats:
        """Return W (d, d) with ``W W^T = A``.

        It is a ConfigError if A is not symmetric and positive definite.
        """
        name = "covariance" if self.matrix is None else "matrix"
        given = self.covariance if self.matrix is None else self.matrix
        assert given is not None
        ragged = any(len(row) != len(given) for row in given)
        a = np.zeros((0, 0)) if ragged else np.array(given, np.float64)
        try:
            if not a.size or not np.isfinite(a).all() or not np.allclose(a, a.T, rtol=1e-8):
                raise np.linalg.LinAlgError
            lower = np.linalg.cholesky(0.5 * (a + a.T))
        except np.linalg.LinAlgError:
            raise ConfigError(
                f"mahalanobis: {name} has {len(given)} rows of "
                f"{sorted({len(row) for row in given})} numbers and is not symmetric positive "
                "definite; expected (d, d) with all eigenvalues > 0."
            ) from None
        return np.asarray(lower if name == "matrix" else np.linalg.inv(lower).T, np.float64)

    @property
    def shifted(self) -> bool:
        """True: the mean of the data is subtracted from rows."""
        return True

    @property
    def squares(self) -> bool:
        """True: squares of the features are added up."""
        return True

    def check(self, x: Floats) -> None:
        d = len(self.whitening())
        if x.shape[1] != d:
            raise ConfigError(
                f"mahalanobis: the matrix is {d} x {d}, but the data have {x.shape[1]} "
                "feature(s); expected one row and column for each."
            )

    def natural(self, centres: Floats) -> tuple[Floats, Floats]:
        whitening = self.whitening()
        white = centres @ whitening
        return 2 * white @ whitening.T, -np.einsum("ij,ij->i", white, white)

    def log_base(self, x: Array) -> Floats:
        white = x.astype(np.float64, copy=False) @ self.whitening()
        found: Floats = -np.einsum("ij,ij->i", white, white)
        return found

    def exact(self, t: Array, centres: Floats, labels: NDArray[np.int32]) -> Floats:
        white = (t.astype(np.float64, copy=False) - centres[labels]) @ self.whitening()
        found: Floats = np.einsum("ij,ij->i", white, white)
        return found


dissimilarity = Mahalanobis
