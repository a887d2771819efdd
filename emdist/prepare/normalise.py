"""The step normalise: scales every row to the same length, or to the same sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from emdist.errors import ConfigError, DomainError
from emdist.interfaces import Floats
from emdist.prepare.base import LearnedArrays, PrepareStep, RowsAt

#: Norms below this lose digits, because squares come near the smallest float64.
_SMALL = 1e-140


@dataclass(frozen=True)
class NormaliseStep(PrepareStep):
    """Divide every row by its norm, or scale it to a sum. Rows of zeros stay as they are.

    Attributes
    ----------
    norm
        ``l2`` (length), ``l1`` (sum of absolute values) or ``max`` (largest absolute value), as in
        scikit-learn's Normalizer.
    total
        The sum that every row gets, in place of a norm. Values must then be >= 0.
    """

    name: ClassVar[str] = "normalise"
    shorthand: ClassVar[str] = "norm"

    norm: Literal["l2", "l1", "max"] = "l2"
    total: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @classmethod
    def options(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ConfigError(
                f"expected a norm, l2, l1 or max, got {value:g}. For rows of this sum, write "
                f"{{'normalise': {{'total': {value:g}}}}}."
            )
        return super().options(value)

    def __post_init__(self) -> None:
        if self.total is not None and self.norm != "l2":
            raise ConfigError("norm and total exclude each other; give only one of them.")

    @property
    def mixes(self) -> bool:
        return True

    @property
    def refuses_missing(self) -> bool:
        return True

    @property
    def inverts(self) -> bool:
        return False

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        if self.total is not None:
            if len(rows := at.wrong((x < 0).any(axis=1))):
                row = int(rows[0])
                j = int(np.argmax(x[row] < 0))
                raise DomainError(
                    f"normalise with a total needs values >= 0, but row {at.first + row} has "
                    f"{x[row, j]:g} in feature {j}. Use a norm (l1, l2, max), or correct the data."
                )
            with np.errstate(over="ignore"):
                sizes = x.sum(axis=1) / self.total
            if len(rows := at.wrong(np.isinf(sizes))):
                raise DomainError(
                    f"The values of row {at.first + int(rows[0])} have no finite sum. Scale the "
                    "features, or use a norm (l1, l2, max)."
                )
        else:
            sizes = self._norms(x)
        sizes[sizes == 0] = 1.0
        x /= sizes[:, None]
        return x

    def _norms(self, x: Floats) -> Floats:
        """Return the norms of rows, of which those with very large or small values are scaled."""
        with np.errstate(over="ignore", under="ignore"):
            sizes = self._norm(x)
            # Squares of 1e200 overflow and those of 1e-200 are zero, but their ratios are neither.
            odd = np.flatnonzero(~((sizes > _SMALL) & (sizes < np.inf)))
            if len(odd):
                large = np.abs(x[odd]).max(axis=1)
                usable = (large > 0) & np.isfinite(large)
                odd, large = odd[usable], large[usable]
                x[odd] /= large[:, None]
                sizes[odd] = self._norm(x[odd])
        return sizes

    def _norm(self, x: Floats) -> Floats:
        found: Floats
        if self.norm == "l2":
            found = np.sqrt(np.einsum("ij,ij->i", x, x))
        elif self.norm == "l1":
            found = np.abs(x).sum(axis=1)
        else:
            found = np.abs(x).max(axis=1)
        return found


step = NormaliseStep
