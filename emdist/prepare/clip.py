"""The step clip: moves values outside of an interval to its nearest end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from emdist.errors import ConfigError
from emdist.interfaces import Floats
from emdist.prepare.base import LearnedArrays, PrepareStep, RowsAt


@dataclass(frozen=True)
class ClipStep(PrepareStep):
    """Replace values below `low` by `low`, and values above `high` by `high`.

    Attributes
    ----------
    low, high
        The ends of the interval; None is no limit. At least one is needed.
    """

    name: ClassVar[str] = "clip"

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ConfigError("expected a limit, as in {clip: {low: 0, high: 10}}.")
        for key, value in (("low", self.low), ("high", self.high)):
            if value is not None and np.isnan(value):
                raise ConfigError(f"{key} is NaN; expected a number.")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ConfigError(f"low is {self.low:g}; expected less than high, {self.high:g}.")

    def apply(self, x: Floats, learned: LearnedArrays, at: RowsAt) -> Floats:
        return np.clip(x, self.low, self.high, out=x)

    def invert(self, x: Floats, learned: LearnedArrays) -> Floats:
        return x

    @classmethod
    def options(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) == 2:
            return {"low": value[0], "high": value[1]}
        if isinstance(value, Mapping):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ConfigError(
                f"expected two limits, as in {{'clip': [0, {value:g}]}}, or one of them by "
                f"its name, as in {{'clip': {{'high': {value:g}}}}}."
            )
        raise ConfigError("expected two limits, as in {clip: [0, 10]}.")


step = ClipStep
