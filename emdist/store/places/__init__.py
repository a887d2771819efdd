"""Places: local folders and object stores, with their files, failures and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store.places import faults as faults
    from emdist.store.places import location as location
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
