"""Labels of rows: written block by block, resumed after an interruption, and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store.labels import array_plans as array_plans
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
