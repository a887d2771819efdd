"""Families of distributions, one per file.

A module with a constant ``family`` is a plug-in, which is found by the name of the module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.families import gaussian as gaussian
    from emdist.families import product as product
    from emdist.families import products as products
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
