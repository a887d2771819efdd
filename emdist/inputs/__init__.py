"""User inputs: checks names, numbers, options, arrays and frames, and refuses what is invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.inputs import validation as validation
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
