"""Schedules: the ways in which EM iterates. Each file has one, named ``schedule``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.fit.schedules import minibatch as minibatch
    from emdist.fit.schedules import stepwise as stepwise
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
