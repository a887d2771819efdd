"""Flows whose fits are held by a gate: a test decides how far a fit may go.

A worker gives its flow runs ``EMDIST_TEST_GATE``, which names a file. While it is there, a fit
waits after its third checkpoint (or ``EMDIST_TEST_HOLD_AFTER``), alive and writing beats, so that a
test can do things to it. The file with ``.held`` behind its name says that one waits.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from emdist.flows.cluster import cluster as cluster
from emdist.flows.daily import daily as daily
from emdist.jobs.job import Job

_gate, _segment = os.environ.get("EMDIST_TEST_GATE"), Job.segment
_CHECKPOINTS = int(os.environ.get("EMDIST_TEST_HOLD_AFTER", "3"))


def _held(job: Any) -> Any:
    state = _segment(job)
    if _gate and state.iterations >= _CHECKPOINTS * job.config.run.checkpoint_iterations:
        while Path(_gate).exists():
            Path(f"{_gate}.held").touch()
            time.sleep(0.05)
    return state


Job.segment = _held  # type: ignore[method-assign]
