"""What users see: the lines and warnings of a run, its summary, and the results of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.report import lines as lines
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
