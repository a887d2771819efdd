"""How a model is fitted: survey, starting values, passes over blocks, the EM loop and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.fit import aligning as aligning
    from emdist.fit import assigned as assigned
    from emdist.fit import chains as chains
    from emdist.fit import completion as completion
    from emdist.fit import criteria as criteria
    from emdist.fit import data_changes as data_changes
    from emdist.fit import domain as domain
    from emdist.fit import events as events
    from emdist.fit import fitted as fitted
    from emdist.fit import loop as loop
    from emdist.fit import observed as observed
    from emdist.fit import online as online
    from emdist.fit import prepared_blocks as prepared_blocks
    from emdist.fit import schedules as schedules
    from emdist.fit import start as start
    from emdist.fit import state as state
    from emdist.fit import survey as survey
    from emdist.fit import together as together
    from emdist.fit import unsaved as unsaved
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
