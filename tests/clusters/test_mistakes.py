"""Clusters that do not start: the error is there within seconds, and says what to do."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import dask
import pytest

from emdist.engines.clusters.by_class import ByClass
from emdist.errors import ConfigError, EmdistError, SchedulerError, WorkersError
from tests.clusters.fits import slurm_cluster, ssh_cluster
from tests.support.killable_jobs import until
from tests.support.services import Gateway, Slurm, Sshd

pytestmark = pytest.mark.long

#: Seconds in which a mistake is told, on a machine with other work. `timeout` is 600 s.
SOON = 60


def refused(path: str, settings: dict[str, Any], **more: Any) -> EmdistError:
    """The error of a cluster that does not start."""
    started = time.monotonic()
    with pytest.raises(EmdistError) as found, ByClass(path, settings, **more).open():
        pass
    assert time.monotonic() - started < SOON
    return found.value


# ---- SSH

SSH = "dask.distributed.SSHCluster"


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"hostss": []}, ConfigError, "unexpected keyword argument 'hostss'"),
        ({"worker_options": {"nthread": 2}}, ConfigError, "argument 'nthread'"),
        ({"hosts": ["127.0.0.1"]}, ConfigError, "starts no workers .* name it twice"),
        ({"remote_python": "/no/python"}, SchedulerError, "/no/python.*[Nn]o such file"),
        ({"hosts": ["nohost.invalid"] * 2}, SchedulerError, r"nohost\.invalid.*Check that `ssh`"),
        ({"port": 1}, SchedulerError, "Connect call failed.*Check that `ssh` reaches"),
        ({"username": "nobodyx"}, SchedulerError, "Permission denied.*Check that `ssh` reaches"),
        ({"known_hosts": "empty"}, SchedulerError, "Host key is not trusted.*known_hosts"),
    ],
)
def test_ssh(
    ssh: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    kind: type[EmdistError],
    told: str,
) -> None:
    monkeypatch.setenv("EMDIST_TRUST_CONFIG", "1")
    settings = ssh_cluster(ssh)["cluster_kwargs"]
    (tmp_path / "empty").write_text("")
    for key, value in change.items():
        if key in {"port", "username", "known_hosts"}:
            settings["connect_options"][key] = str(tmp_path / value) if value == "empty" else value
        else:
            settings[key] = value
    error = refused(SSH, settings)
    assert isinstance(error, kind)
    assert re.search(told, str(error)), str(error)


# ---- SLURM

SLURM = "dask_jobqueue.SLURMCluster"


@pytest.mark.parametrize("how", ["scale", "n_workers", "adapt"])
def test_a_wrong_partition(queue: Slurm, tmp_path: Path, how: str) -> None:
    settings = slurm_cluster(tmp_path, queue="nowhere")["cluster_kwargs"]
    more: dict[str, Any] = {"scale": 2}
    if how == "n_workers":
        settings["n_workers"], more = 2, {}
    elif how == "adapt":
        more = {"adapt_kwargs": {"minimum": 0, "maximum": 2}}
    error = refused(SLURM, settings, **more)
    assert "cannot start workers: sbatch: error: invalid partition" in str(error)
    assert "partition or queue" in str(error)
    assert not queue.squeue()


def test_settings_of_slurm(queue: Slurm, tmp_path: Path) -> None:
    settings = slurm_cluster(tmp_path)["cluster_kwargs"]
    error = refused(SLURM, {**settings, "que": "main", "walltime": "secret"}, scale=1)
    assert isinstance(error, ConfigError)
    assert "does not accept its settings: Got unexpected keyword argument 'que'" in str(error)
    assert "secret" not in str(error)
    error = refused(SLURM, settings)
    assert isinstance(error, ConfigError)
    assert "starts no workers with these settings. Set" in str(error)


def test_jobs_that_wait_are_named(
    queue: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMDIST_TRUST_CONFIG", "1")
    settings = slurm_cluster(tmp_path)["cluster_kwargs"]
    settings["job_extra_directives"] = ["--begin=now+1hour"]
    with (
        pytest.raises(WorkersError, match=r"Ask the queue why these jobs wait .*: \d+\."),
        ByClass(SLURM, settings, scale=1, timeout=3).open(),
    ):
        pass
    until(lambda: not queue.squeue())


def test_a_machine_without_the_command(
    queue: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused(SLURM, slurm_cluster(tmp_path)["cluster_kwargs"], scale=1)
    assert isinstance(error, SchedulerError)
    assert "has no command 'sbatch'" in str(error)


# ---- Dask Gateway


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("change", "auth", "more", "told"),
    [
        ({"address": "http://127.0.0.1:1"}, {}, {"scale": 1}, "Cannot connect to host 127.0.0.1:1"),
        ({"addres": "http://127.0.0.1:1"}, {}, {"scale": 1}, "Unknown fields ['addres']"),
        ({"worker_corez": 2}, {}, {"scale": 1}, "Unknown fields ['worker_corez']"),
        ({}, {"password": "another"}, {"scale": 1}, "settings gateway.auth"),
        ({}, {}, {}, "starts no workers with these settings. Set"),
    ],
)
def test_dask_gateway(
    server: Gateway, change: dict[str, Any], auth: dict[str, str], more: dict[str, Any], told: str
) -> None:
    with dask.config.set({"gateway.auth": server.auth(**auth)}):
        error = refused("dask_gateway.GatewayCluster", {"address": server.address} | change, **more)
    assert told in str(error)
    assert "another" not in str(error)
    assert server.password not in str(error)
