"""Inner loops over arrays, written with NumPy and Numba only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.kernels import tiles as tiles
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
