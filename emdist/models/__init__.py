"""Models: a family, an assignment and a way to estimate mixture weights, as one object for EM."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.models import arrays as arrays
    from emdist.models import chains as chains
    from emdist.models import hidden_markov as hidden_markov
    from emdist.models import precision as precision
    from emdist.models import weights as weights
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
