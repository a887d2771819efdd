"""Whole fits on the clusters of the examples, made small enough for one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import yaml
import zarr

from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.store.test_row_ranges import rows_of
from tests.support.paths import ROOT
from tests.support.services import Sshd

#: What tests change in an example: sizes, and where things are.
SMALL = {"cores": 1, "processes": 1, "memory": "1GB"}


def example(name: str) -> dict[str, Any]:
    """The section `cluster` of an example."""
    read = yaml.safe_load((ROOT / "config" / f"{name}-cluster.yaml").read_text())
    return dict(read["cluster"])


def fitted(folder: Path, cluster: dict[str, Any], listen: Any = lambda event: None) -> bytes:
    """Fit in `folder`, and return the model."""
    data = folder / "x.zarr"
    if not data.exists():
        zarr.create_array(data, data=rows_of(4000, 3), chunks=(250, 3))
    values = {
        "data": {"path": str(data), "block_size": "3000 B"},
        "model": {"name": "full", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 5, "tol": 1e-12},
        "cluster": cluster,
        "run": {"folder": str(folder / "runs"), "key": str(cluster["kind"])},
    }
    with open_job(make_config(values), listen=listen) as job:
        assert isinstance(job, Job)
        job.complete()
    return (folder / "runs" / str(cluster["kind"]) / "final/model.safetensors").read_bytes()


def threads(folder: Path) -> bytes:
    return fitted(folder, {"kind": "threads", "threads": 2})


def dask_processes() -> set[int]:
    """Schedulers and workers that are no threads of this process."""
    found = set()
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "distributed.cli.dask_" in line or "dask_gateway.worker" in line:
            found.add(process.info["pid"])
    return found


def ssh_cluster(ssh: Sshd) -> dict[str, Any]:
    cluster = example("ssh")
    cluster["cluster_kwargs"] |= {
        "hosts": ["127.0.0.1"] * 3,
        "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
        "worker_options": {"nthreads": 1, "memory_limit": "1GB", "host": "127.0.0.1"},
        "connect_options": ssh.options(),
    }
    return cluster


def slurm_cluster(folder: Path, **more: Any) -> dict[str, Any]:
    cluster = example("slurm")
    cluster["cluster_kwargs"] |= SMALL | {
        "log_directory": str(folder / "logs"), "local_directory": str(folder / "spill"),
        "interface": "lo",
        "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
        **more,
    }  # fmt: skip
    cluster |= {"scale": 2, "wait_for_workers": 2}
    return cluster
