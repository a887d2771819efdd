"""Workers that leave a cluster in the middle of a fit: told, and replaced where the class can."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import dask
import pytest

from emdist.engines.clusters import workers
from emdist.engines.clusters.by_class import ByClass
from tests.clusters.fits import dask_processes, slurm_cluster
from tests.support.killable_jobs import until
from tests.support.services import Slurm

pytestmark = pytest.mark.long


def test_a_job_that_ends(
    queue: Slurm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(workers, "LOOK", 0.2)
    monkeypatch.setattr(workers, "PAUSE", 0.5)
    settings = slurm_cluster(tmp_path)["cluster_kwargs"]
    kind = ByClass("dask_jobqueue.SLURMCluster", settings, scale=2, wait_for_workers=2)
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        caplog.at_level(logging.WARNING, "emdist"),
        kind.open() as client,
    ):
        first = {job for job, state in queue.squeue() if state == "RUNNING"}
        before = set(client.nthreads())
        subprocess.run(["scancel", min(first)], check=True)
        until(lambda: "1 worker (tcp://127.0.0.1" in caplog.text)
        assert "left the cluster, 1 of 2 remain; requesting new ones" in caplog.text
        until(lambda: len(set(client.nthreads())) == 2 and bool(set(client.nthreads()) - before))
    until(lambda: not queue.squeue())


DRIVER = """
import json, sys, time
from emdist.engines.clusters.by_class import ByClass
if __name__ == "__main__":
    path, settings, more = json.loads(sys.argv[1])
    with ByClass(path, settings, **more).open():
        print("open", flush=True)
        time.sleep(600)
"""


def test_a_driver_that_dies(queue: Slurm, tmp_path: Path) -> None:
    """Its jobs end by themselves."""
    section = slurm_cluster(tmp_path)
    more = {"wait_for_workers": 2, "scale": 2}
    (tmp_path / "driver.py").write_text(DRIVER)
    given = json.dumps([section["cluster_class"], section["cluster_kwargs"], more])
    before = dask_processes()
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), given], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"open\n"
    assert len(dask_processes() - before) >= 2
    driver.kill()
    driver.wait()
    until(lambda: dask_processes() <= before, 120)
    until(lambda: not queue.squeue())
