"""Services on loopback, each with its own folder and free ports: sshd, SLURM, gateway, PostgreSQL.

A test whose service is not installed is skipped, and the reason says what to install.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.killable_jobs import until
from tests.support.paths import ROOT


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def command(name: str, package: str) -> str:
    """The path of a system's command; skips the test where its package is not installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


@contextlib.contextmanager
def running(arguments: Sequence[str], log: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the context."""
    with log.open("ab") as out:
        process = subprocess.Popen(list(arguments), stdout=out, stderr=out, **more)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@dataclass(frozen=True)
class Sshd:
    """Host, port and keys of an SSH server."""

    port: int
    key: Path
    known_hosts: Path

    def options(self) -> dict[str, Any]:
        """``connect_options`` of `SSHCluster`."""
        return {
            "port": self.port, "username": getpass.getuser(),
            "client_keys": [str(self.key)], "known_hosts": str(self.known_hosts),
        }  # fmt: skip


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """An SSH server that only a key of its own may enter."""
    server = command("sshd", "openssh-server")
    pytest.importorskip("asyncssh", reason="pip install asyncssh (make services)")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    port = free_port()
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    public = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {public}")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        # The network guard of the tests, and where their modules are.
        f'SetEnv PYTHONPATH="{os.environ["PYTHONPATH"]}:{ROOT}"\n'
    )
    if os.geteuid() == 0:  # sshd of root wants its folder for unprivileged children.
        Path("/run/sshd").mkdir(exist_ok=True)
    with running([server, "-D", "-e", "-f", str(folder / "config")], folder / "log"):
        until(lambda: answers(port))
        yield Sshd(port, folder / "user", folder / "known")


@dataclass(frozen=True)
class Slurm:
    """A SLURM cluster of one node, by its configuration."""

    folder: Path

    def squeue(self) -> list[list[str]]:
        """Number and state of each job."""
        asked = ["squeue", "--noheader", "--format=%i %T"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30)
        return [line.split() for line in done.stdout.splitlines()]


@contextlib.contextmanager
def slurm(folder: Path, cores: int = 4) -> Iterator[Slurm]:
    """A controller and a node of SLURM, with munge, of this user and on loopback only.

    It sets SLURM_CONF in the environment.
    """
    munged = command("munged", "munge")
    slurmctld, slurmd = command("slurmctld", "slurmctld"), command("slurmd", "slurmd")
    pytest.importorskip("dask_jobqueue", reason="pip install dask-jobqueue (make services)")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs as root only")
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    ports = free_port(), free_port()
    conf = folder / "slurm.conf"
    conf.write_text(f"""\
ClusterName=emdist
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
""")
    munge = [munged, "--foreground", "--force", f"--key-file={key}",
             f"--socket={folder}/munge.sock",
             f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
             f"--seed-file={folder}/munge.seed"]  # fmt: skip
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        stack.enter_context(running(munge, folder / "munge.out"))
        until(lambda: (folder / "munge.sock").exists())
        stack.enter_context(running([slurmctld, "-D", "-f", str(conf)], folder / "slurmctld.log"))
        stack.enter_context(
            running([slurmd, "-D", "-f", str(conf), "-N", "node"], folder / "slurmd.log")
        )

        def idle() -> bool:
            done = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=30
            )
            return done.stdout.strip() == "idle"

        until(idle)
        yield Slurm(folder)


@dataclass(frozen=True)
class Gateway:
    """Addresses of a Dask Gateway server."""

    address: str
    password: str

    def auth(self, **more: str) -> dict[str, Any]:
        """The setting `gateway.auth` of Dask for a user of this server."""
        return {"type": "basic", "kwargs": {"username": "root", "password": self.password, **more}}


_GATEWAY = """\
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = {password!r}
c.DaskGateway.address = "127.0.0.1:{private}"
c.Proxy.address = "127.0.0.1:{public}"
c.UnsafeLocalBackend.clusters_directory = {folder!r}
c.UnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH", "HOME", "SHELL"]
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
c.ClusterConfig.worker_cmd = ["dask", "worker"]
c.ClusterConfig.worker_memory = "1 G"
"""


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """A Dask Gateway server with its local backend: scheduler and workers are processes here."""
    pytest.importorskip("dask_gateway", reason="pip install dask-gateway (make services)")
    pytest.importorskip("dask_gateway_server", reason="dask-gateway-server (make services)")
    password = secrets.token_hex(8)
    public, private = free_port(), free_port()
    (folder / "clusters").mkdir()
    config = folder / "config.py"
    config.write_text(
        _GATEWAY.format(
            password=password, public=public, private=private, folder=str(folder / "clusters")
        )
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    arguments = [sys.executable, "-m", "dask_gateway_server", "-f", str(config)]
    with running(arguments, folder / "log", env=environment, cwd=folder):
        address = f"http://127.0.0.1:{public}"

        def healthy() -> bool:
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer,
            ):
                return bool(answer.status == 200)
            return False

        until(healthy)
        yield Gateway(address, password)


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server with an empty database, by its URL.

    It refuses to run as root, so that root runs it as the user of its package.
    """
    folders = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    initdb, postgres = (
        shutil.which(name, path=":".join(folders)) for name in ("initdb", "postgres")
    )
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    as_user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="emdist-postgresql-") as name:
        folder, port = Path(name), free_port()
        if as_user:
            shutil.chown(folder, **as_user)
        subprocess.run(
            [initdb, "--auth=trust", "--username=prefect", "-D", folder / "data"],
            check=True, capture_output=True, cwd="/", **as_user,
        )  # fmt: skip
        arguments = [
            postgres, "-D", str(folder / "data"), "-p", str(port),
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}",
        ]  # fmt: skip
        with running(arguments, folder / "log", cwd="/", **as_user):
            until(lambda: answers(port))
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
