"""The step log1p: the logarithm of 1 + x, for counts and other skewed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emdist.errors import DomainError
from emdist.interfaces import Floats
from emdist.prepare.base import LearnedArrays, PrepareStep, RowsAt


@dataclass(frozen=True)
class LogStep(PrepareStep):
    """Replace x by log(1 + x). Values must be above -1."""

    name: ClassVar[str] = "log1p"

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        if len(rows := at.wrong((x <= -1).any(axis=1))):
            row = int(rows[0])
            j = int(np.argmax(x[row] <= -1))
            raise DomainError(
                f"log1p needs values above -1, but row {at.first + row} has {x[row, j]:g} in "
                f"feature {j}. Put log1p before steps that subtract a mean, leave it out, or "
                "correct the data."
            )
        return np.log1p(x, out=x)

    def invert(self, x: Floats, learned: LearnedArrays) -> Floats:
        return np.expm1(x)


step = LogStep
