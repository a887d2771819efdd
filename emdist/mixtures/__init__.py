"""A mixture as a distribution: densities, draws, moments, marginals, conditionals, sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.mixtures import draws as draws
    from emdist.mixtures import inputs as inputs
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
