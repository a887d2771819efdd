"""Compares fitted models with each other, and finds reasons to doubt their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.quality import doubts as doubts
    from emdist.quality import evidence as evidence
    from emdist.quality import ranking as ranking
    from emdist.quality import separation as separation
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
