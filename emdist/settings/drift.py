"""The section of the configuration with the limits of drift."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emdist.settings.section import Section


class DriftSection(Section):
    """This section says how far the data may be from the model that a fit starts from."""

    place = "drift"

    moved: float | None = Field(None, gt=0, allow_inf_nan=False)
    share: float | None = Field(None, gt=0, le=1)
    score: float | None = Field(None, gt=0, allow_inf_nan=False)
    action: Literal["warn", "fail"] = "warn"
