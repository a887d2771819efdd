"""Parts of hidden Markov models: parameters, sweeps over a block, links between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.models.chains import estimates as estimates
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
