"""The Python API in scikit-learn's style: estimators that take Zarr, Dask and NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.estimators import distribution as distribution
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
