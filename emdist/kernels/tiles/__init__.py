"""Kernels that loop over tiles: small runs of rows that stay in the cache of the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.kernels.tiles import absolute as absolute
    from emdist.kernels.tiles import tiles as tiles
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
