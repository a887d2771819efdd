"""Engines: apply a task to all blocks, on threads of this process or on a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.engines import threads as threads
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
