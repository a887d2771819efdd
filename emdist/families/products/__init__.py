"""Code for products of families: groups of features, joined densities, marginals, conditionals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.families.products import groups as groups
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
