"""TLS from the configuration: certificates of one authority work, everybody else is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client

from emdist.engines.clusters.address import Address
from emdist.engines.clusters.by_class import ByClass
from emdist.engines.clusters.local import Local
from emdist.engines.dask.tls import Tls
from emdist.errors import ConfigError, SchedulerError
from emdist.inputs.validation import checked_options
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from tests.support.certificates import certificates


@dataclass(frozen=True)
class Running:
    """A cluster with TLS, and the files that open it."""

    client: Client
    files: dict[str, str]

    @property
    def address(self) -> str:
        return str(self.client.scheduler.address)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    files = certificates(tmp_path_factory.mktemp("tls") / "own")
    cluster = checked_options(Local, {"n_workers": 1, "tls": files}, "cluster")
    with cluster.open() as client:
        yield Running(client, files)


def finished(folder: Path, key: str, cluster: dict[str, Any]) -> bytes:
    values = {
        "data": {"path": str(folder / "x.zarr"), "block_size": "500 B"},
        "model": {"name": "full", "n_components": 2},
        "fit": {"max_iter": 4},
        "cluster": cluster,
        "run": {"folder": str(folder), "key": key},
    }
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()
    return (folder / key / "final/model.safetensors").read_bytes()


@pytest.mark.long
def test_everything_is_encrypted_and_the_bits_are_the_same(
    running: Running, tmp_path: Path
) -> None:
    info = running.client.scheduler_info()
    assert running.address.startswith("tls://")
    assert [w.startswith("tls://") for w in info["workers"]] == [True]
    assert [w["nanny"].startswith("tls://") for w in info["workers"].values()] == [True]
    x = np.random.default_rng(0).normal(size=(60, 2)) + 8 * (np.arange(60)[:, None] % 2)
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(20, 2), dtype="f8")
    array[:] = x
    joined = {"kind": "address", "address": running.address, "tls": running.files}
    assert finished(tmp_path, "tls", joined) == finished(tmp_path, "here", {"kind": "threads"})


def test_a_client_without_a_certificate_is_refused(running: Running, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="use TLS"), Address(running.address, 1.0).open():
        pass
    plain = running.address.replace("tls://", "tcp://")
    with pytest.raises(SchedulerError, match="use TLS"), Address(plain, 1.0).open():
        pass
    # Of another authority: neither side believes the other.
    others = Tls(**certificates(tmp_path / "others"))
    with pytest.raises(SchedulerError), Address(running.address, 1.0, tls=others).open():
        pass
    mixed = Tls(running.files["ca_file"], others.cert, others.key)
    with pytest.raises(SchedulerError), Address(running.address, 1.0, tls=mixed).open():
        pass
    assert running.client.submit(int, "7", pure=False).result() == 7


def test_what_is_wrong_with_certificates_is_said_without_them(
    running: Running, tmp_path: Path
) -> None:
    files = running.files
    secret = Path(files["key"]).read_text()
    (tmp_path / "no.pem").write_text("no certificate")
    for wrong, words in (
        ({"key": str(tmp_path / "nothing.pem")}, "cluster.tls.key is .*nothing.pem.*PEM file"),
        ({"key": secret}, "cluster.tls.key is the text of a certificate or key, expected the path"),
        ({"key": files["ca_file"]}, "cannot be used"),
        ({"cert": str(tmp_path / "no.pem")}, "cannot be used"),
        ({"ca_file": str(tmp_path / "no.pem")}, "cannot be used"),
    ):
        with pytest.raises(ConfigError, match=words) as told:
            Tls(**{**files, **wrong}).security()
        assert secret.splitlines()[1] not in str(told.value)
    plain = Address("tcp://127.0.0.1:8786", tls=Tls(**files))
    with pytest.raises(ConfigError, match=r"not encrypted; expected tls://"), plain.open():
        pass


@pytest.mark.parametrize("kind", [Local, Address, ByClass])
def test_keys_of_tls_are_checked(kind: Any) -> None:
    options = {"address": "tls://h:1"} if kind is Address else {}
    if kind is ByClass:
        options = {"cluster_class": "dask.distributed.LocalCluster"}
    with pytest.raises(ConfigError, match=r"tls\.key is missing"):
        checked_options(kind, {**options, "tls": {"ca_file": "a", "cert": "b"}}, "cluster")
    tls = {"ca_file": "a", "cert": "b", "key": "c", "certt": "d"}
    with pytest.raises(ConfigError, match=r"tls\.certt is not a known key.*'cert'.*ca_file"):
        checked_options(kind, {**options, "tls": tls}, "cluster")


def test_a_class_of_cluster_gets_them_too(running: Running) -> None:
    cluster = ByClass(
        "dask.distributed.LocalCluster",
        {"n_workers": 1, "dashboard_address": "127.0.0.1:0", "processes": False},
        tls=Tls(**running.files),
    )
    with cluster.open() as client:
        assert client.scheduler.address.startswith("tls://")
