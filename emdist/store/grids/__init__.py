"""Grids: variables with named dimensions, which make up rows and features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store.grids import arrangement as arrangement
    from emdist.store.grids import axes as axes
    from emdist.store.grids import comparing as comparing
    from emdist.store.grids import coordinates as coordinates
    from emdist.store.grids import grid_source as grid_source
    from emdist.store.grids import held as held
    from emdist.store.grids import left_out as left_out
    from emdist.store.grids import members as members
    from emdist.store.grids import nothing_left as nothing_left
    from emdist.store.grids import opening as opening
    from emdist.store.grids import taken as taken
    from emdist.store.grids import variables as variables
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
