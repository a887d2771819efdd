"""Sources read rows block by block from Zarr or NumPy arrays (Dask: `emdist.engines.dask`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store.sources import arrays as arrays
    from emdist.store.sources import cf as cf
    from emdist.store.sources import frames as frames
    from emdist.store.sources import lazy_stores as lazy_stores
    from emdist.store.sources import references as references
    from emdist.store.sources import sequenced as sequenced
    from emdist.store.sources import spooled as spooled
    from emdist.store.sources import stamps as stamps
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
