"""Runs and models: records, checkpoints, owners and results, each verified when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emdist.store.runs import codec as codec
    from emdist.store.runs import model_files as model_files
    from emdist.store.runs import publications as publications
    from emdist.store.runs import run_record as run_record
else:
    from emdist.runtime.submodules import on_first_use

    __getattr__ = on_first_use(__name__)
