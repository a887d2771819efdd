"""Whole fits on Dask, SSH, SLURM and Dask Gateway clusters, with results equal to threads."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import dask
import pytest

from tests.clusters.fits import (
    dask_processes,
    example,
    fitted,
    slurm_cluster,
    ssh_cluster,
    threads,
)  # fmt: skip
from tests.support.certificates import certificates
from tests.support.killable_jobs import until
from tests.support.services import Gateway, Slurm, Sshd, running

pytestmark = pytest.mark.long


def test_local(tmp_path: Path) -> None:
    cluster = example("local")
    assert cluster["n_workers"] == 2
    assert fitted(tmp_path, cluster) == threads(tmp_path)


def test_address(tmp_path: Path) -> None:
    """A scheduler and workers that `dask` starts stay when the fit has ended."""
    file = tmp_path / "scheduler.json"
    cli = [sys.executable, "-m", "distributed.cli"]
    scheduler = [
        "dask_scheduler",
        "--host=127.0.0.1",
        "--port=0",
        "--dashboard-address=127.0.0.1:0",
    ]
    worker = ["dask_worker", "--nthreads=1", "--memory-limit=1GB", "--host=127.0.0.1", "--no-nanny"]
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> Any:
            command = [*cli[:2], f"{cli[2]}.{name}", *arguments, "--scheduler-file", str(file)]
            return stack.enter_context(running(command, tmp_path / "log", cwd=tmp_path))

        started = [start(*scheduler)]
        until(file.exists)
        started += [start(*worker) for _ in range(2)]
        cluster = example("remote") | {"address": str(file), "wait_for_workers": 2}
        assert fitted(tmp_path, cluster) == threads(tmp_path)
        assert [process.poll() for process in started] == [None] * 3


# ---- SSH


def test_ssh(ssh: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMDIST_TRUST_CONFIG", "1")
    before = dask_processes()
    assert fitted(tmp_path, ssh_cluster(ssh)) == threads(tmp_path)
    until(lambda: dask_processes() <= before)


def test_ssh_by_the_users_own_configuration_and_encrypted(
    ssh: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without EMDIST_TRUST_CONFIG: ~/.ssh/config says port and key, as the example tells."""
    home = tmp_path / "home/.ssh"
    home.mkdir(parents=True)
    (home / "config").write_text(
        f"Host 127.0.0.1\n  Port {ssh.port}\n  IdentityFile {ssh.key}\n"
        f"  UserKnownHostsFile {ssh.known_hosts}\n"
    )
    monkeypatch.setenv("HOME", str(home.parent))
    cluster = ssh_cluster(ssh) | {"tls": certificates(tmp_path / "own")}
    del cluster["cluster_kwargs"]["connect_options"]
    assert fitted(tmp_path, cluster) == threads(tmp_path)
    assert dask.config.get("distributed.comm.require-encryption") is None


# ---- SLURM


def test_slurm(queue: Slurm, tmp_path: Path) -> None:
    assert fitted(tmp_path, slurm_cluster(tmp_path)) == threads(tmp_path)
    until(lambda: not queue.squeue())


def test_slurm_encrypted(queue: Slurm, tmp_path: Path) -> None:
    cluster = slurm_cluster(tmp_path) | {"tls": certificates(tmp_path / "own")}
    assert fitted(tmp_path, cluster) == threads(tmp_path)
    (log, *_) = (tmp_path / "logs").iterdir()
    assert "tls://" in log.read_text()
    assert "tcp://" not in log.read_text()


# ---- Dask Gateway


def test_dask_gateway(server: Gateway, tmp_path: Path) -> None:
    cluster = example("gateway") | {"scale": 2, "wait_for_workers": 2}
    cluster["cluster_kwargs"]["address"] = server.address
    before = dask_processes()
    with dask.config.set({"gateway.auth": server.auth()}):
        assert fitted(tmp_path, cluster) == threads(tmp_path)
    until(lambda: dask_processes() <= before)
