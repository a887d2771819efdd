"""Code that Gaussian families share: covariance types, variance floors, priors, missing values."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.families.gaussian import base as base
    from emdist.families.gaussian import variational as variational
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
