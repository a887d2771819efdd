"""The inverse of a preparation, as a preparation of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from emdist.errors import ConfigError
from emdist.interfaces import Floats
from emdist.prepare.base import LearnedArrays, PrepareStep, RowsAt
from emdist.prepare.preparation import Preparation


@dataclass(frozen=True)
class InvertedStep(PrepareStep):
    """Undo `step`, which makes `width` features of rows of `d` features."""

    name: ClassVar[str] = "inverse"

    step: PrepareStep
    d: int

    def features(self, d: int, learned: LearnedArrays) -> int:
        return self.d

    def names(self, names: tuple[str, ...], learned: LearnedArrays) -> tuple[str, ...]:
        return tuple(f"x{j}" for j in range(self.d))

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        return self.step.invert(x, learned)


def inverse_of(made: Preparation) -> Preparation:
    """Return the preparation that undoes `made`.

    Raises
    ------
    ConfigError
        If a step has no inverse.
    """
    if made.inverted_from:
        name = made.steps[made.inverted_from - 1].name
        raise ConfigError(
            f"The step {name} has no inverse: it does not keep the size of a row. Keep the rows "
            "before this step."
        )
    steps = [InvertedStep(step, d) for step, d in zip(made.steps, made.widths, strict=False)]
    return Preparation(made.n_features, tuple(steps[::-1]), made.learned[::-1])
