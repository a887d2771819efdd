"""Makes the objects that do the work from a configuration, and checks that memory suffices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.composition import caching as caching
    from emdist.composition import make as make
    from emdist.composition import memory as memory
    from emdist.composition import model as model
    from emdist.composition import reach as reach
    from emdist.composition import recipe as recipe
    from emdist.composition import sweep_config as sweep_config
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
