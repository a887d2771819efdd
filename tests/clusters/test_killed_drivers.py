"""A cluster that emdist started ends when its driver is killed: no worker, scheduler or job stays.

The processes of a test are known by the path of its folder in their environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.clusters.fits import example, slurm_cluster, ssh_cluster
from tests.support.killable_jobs import Fit, configuration, overlapping, result, until

pytestmark = pytest.mark.long

MARK = "EMDIST_TEST_DRIVER"


class Brief(Fit):
    """A fit whose cluster waits two seconds for a driver to come back, and may name code."""

    def __init__(self, config: Mapping[str, Any], folder: Path, more: Mapping[str, str]) -> None:
        self._more = {"EMDIST_TRUST_CONFIG": "1", MARK: str(folder), **more}
        super().__init__(config, folder)

    def command(self, file: Path) -> list[str]:
        code = (
            "import sys; from emdist.engines.dask import departing; departing.PATIENCE = 2.0; "
            "from emdist.__main__ import main; sys.exit(main())"
        )
        return [sys.executable, "-c", code, "fit", "--config", str(file), "--json"]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._more}


def marked(*texts: str) -> list[psutil.Process]:
    """Living processes with one of the texts in their environment: a driver and its cluster."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            values = process.environ().values()
            there = any(text in value for text in texts for value in values)
            if there and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def ends_when_its_driver_is_killed(
    folder: Path, cluster: Mapping[str, Any], least: int, *marks: str, **more: str
) -> None:
    """Kill the driver of a fit on `cluster`, wait for the end of all processes, and go on.

    There are at least so many processes, with the driver and two workers.
    """
    data = overlapping(folder / "x.zarr", rows=10_000)
    config = configuration(data, folder / "runs", "full", cluster=cluster)
    marks = (str(folder), *marks)
    fit = Brief(config, folder, more)
    fit.reach("iterated", 2)
    assert len(marked(*marks)) >= least, marked(*marks)
    fit.kill()
    until(lambda: not marked(*marks))
    # The same command continues.
    again = Brief(config, folder, more)
    assert again.process.wait(240) == 0, again.errors
    assert result(folder / "runs/r")
    until(lambda: not marked(*marks))


def test_local(tmp_path: Path) -> None:
    ends_when_its_driver_is_killed(tmp_path, {"kind": "local", "n_workers": 2}, 3)


def test_local_by_class(tmp_path: Path) -> None:
    cluster = {
        "kind": "by_class",
        "cluster_class": "dask.distributed.LocalCluster",
        "cluster_kwargs": {"n_workers": 2, "dashboard_address": "127.0.0.1:0"},
        "wait_for_workers": 2,
    }
    ends_when_its_driver_is_killed(tmp_path, cluster, 3)


def test_ssh(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    cluster = ssh_cluster(request.getfixturevalue("ssh")) | {"wait_for_workers": 2}
    # SSH does not pass the environment on.
    cluster["cluster_kwargs"]["remote_python"] = f"env {MARK}={tmp_path} {sys.executable}"
    ends_when_its_driver_is_killed(tmp_path, cluster, 4)


def test_slurm(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    queue = request.getfixturevalue("queue")
    # Dumped as YAML, this time gets the quotes that emdist asks for.
    cluster = slurm_cluster(tmp_path, walltime="10:00:00")
    ends_when_its_driver_is_killed(tmp_path, cluster, 3)
    until(lambda: not queue.squeue())


def test_dask_gateway(
    tmp_path: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = request.getfixturevalue("server")
    cluster = example("gateway") | {"scale": 2, "wait_for_workers": 2}
    cluster["cluster_kwargs"]["address"] = server.address
    auth = {
        "DASK_GATEWAY__AUTH__TYPE": "basic",
        "DASK_GATEWAY__AUTH__KWARGS__USERNAME": "root",
        "DASK_GATEWAY__AUTH__KWARGS__PASSWORD": server.password,
    }
    # The server gives its schedulers and workers an environment of their own.
    theirs = str(tmp_path_factory.getbasetemp() / "gateway")
    ends_when_its_driver_is_killed(tmp_path, cluster, 4, theirs, **auth)
