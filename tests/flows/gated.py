"""The flow that clusters, held by a gate: a test decides how far a fit may go.

``EMDIST_TEST_GATE`` names a file that a worker gives to its flow runs. While it is there, a fit
waits after its third segment, alive and writing beats, so that a test can do things to it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from emdist.flows.cluster import cluster as cluster
from emdist.jobs.job import Job

_gate, _segment = os.environ.get("EMDIST_TEST_GATE"), Job.segment
_HELD_AFTER = 3


def _held(job: Job) -> object:  # type: ignore[type-arg]
    state = _segment(job)
    if _gate and state.iterations >= _HELD_AFTER * job.config.run.checkpoint_iterations:
        while Path(_gate).exists():
            time.sleep(0.05)
    return state


Job.segment = _held  # type: ignore[method-assign, assignment]
