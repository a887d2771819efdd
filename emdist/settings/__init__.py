"""The configuration: its sections, their checks, and the YAML file that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.settings import config as config
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
