"""Run a job and print the peak memory of each of its processes, as JSON.

``python peak_memory.py DATA RUNS CLUSTER [SETTING...]``: CLUSTER is the section as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.memory import peak_memory
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.settings.file import overridden


def main() -> None:
    """Fit, label, look."""
    data, runs, cluster, *settings = sys.argv[1:]
    values: dict[str, Any] = {
        "data": {"path": data, "block_size": "32 MiB"},
        "model": {"name": "kmeans", "n_components": 16},
        "fit": {"max_iter": 3},
        "cluster": {"cache": "off", **json.loads(cluster)},
        "run": {"folder": runs, "key": "r"},
        "labels": {"outputs": ["labels", "score"]},
    }
    workers: list[int] = []
    limit = 0
    with open_job(make_config(overridden(values, settings))) as job:
        assert isinstance(job, Job)
        job.complete()
        engine: Any = job.run.plan.engine
        if hasattr(engine, "client"):
            workers = list(engine.client.run(peak_memory).values())
            known = engine.client.scheduler_info(n_workers=-1)["workers"].values()
            limit = min(worker["memory_limit"] for worker in known)
    # The driver's peak is that of the fit: nothing was imported for the measurement.
    print(json.dumps({"driver": peak_memory(), "workers": workers, "limit": limit}))


if __name__ == "__main__":
    main()
