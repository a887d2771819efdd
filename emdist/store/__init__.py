"""Storage: folders and object stores, Zarr chunks, sources of rows, labels, runs and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store import grids as grids
    from emdist.store import labels as labels
    from emdist.store import places as places
    from emdist.store import runs as runs
    from emdist.store import sources as sources
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
