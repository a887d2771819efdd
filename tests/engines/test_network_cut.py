"""Workers in network namespaces of this machine, whose cable is pulled while they work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import network_guard
import psutil
import pytest

from tests.chaos.storm_drivers import Outside
from tests.support.killable_jobs import configuration, overlapping, result, undisturbed, until


def ip(*words: str) -> None:
    """``ip WORDS``; CalledProcessError, FileNotFoundError where that is not permitted."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def undo(*words: str) -> None:
    subprocess.run(["ip", *words], check=False, capture_output=True, timeout=30)


class Network:
    """Namespaces on one bridge: 10.x.y.1 is this machine, .2 and .3 are two others.

    It has state, the names, because it is taken down again.
    """

    def __init__(self, stack: ExitStack, hosts: int = 2) -> None:
        pid = os.getpid()
        self.net = f"10.{200 + pid % 50}.{pid // 50 % 250}"
        self.names = [f"em{pid}-{i}" for i in range(hosts)]
        bridge = f"em{pid}b"
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(undo, "link", "del", bridge)
        ip("addr", "add", f"{self.net}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for i, name in enumerate(self.names):
            inner = f"{name}n"
            ip("netns", "add", name)
            stack.callback(undo, "netns", "del", name)
            ip("link", "add", name, "type", "veth", "peer", "name", inner)
            stack.callback(undo, "link", "del", name)
            ip("link", "set", inner, "netns", name)
            ip("link", "set", name, "master", bridge, "up")
            within = ("-n", name)
            ip(*within, "addr", "add", f"{self.net}.{i + 2}/24", "dev", inner)
            ip(*within, "link", "set", inner, "up")
            ip(*within, "link", "set", "lo", "up")

    def cut(self, i: int) -> None:
        """Nothing reaches the host any more, and nobody is told."""
        ip("link", "set", self.names[i], "down")

    def restore(self, i: int) -> None:
        ip("link", "set", self.names[i], "up")


class Hosts(Outside):
    """A worker on each host of a network; scheduler and driver on this machine."""

    def __init__(self, folder: Path, network: Network) -> None:
        super().__init__(folder)
        self.network = network
        self.host = f"{network.net}.1"

    def join(self) -> None:
        name = self.network.names[len(self.nannies)]
        self.nannies.append(
            self.run("worker", "--nanny", "--nthreads=1", "--death-timeout=60",
                     "--local-directory", str(self.folder / name),
                     within=["ip", "netns", "exec", name])
        )  # fmt: skip

    @property
    def cluster(self) -> dict[str, Any]:
        return {**super().cluster, "wait_for_workers": 2}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Skips, with the reason, where a process may not make namespaces."""
    with ExitStack() as stack:
        try:
            made = Network(stack)
        except FileNotFoundError:
            pytest.skip("there is no `ip` here: install iproute2")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        monkeypatch.setenv(network_guard.ALLOWED, f"{made.net}.0/24")
        yield made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlapping(tmp_path_factory.mktemp("data") / "x.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False], ids=["for a while", "for good"])
def test_a_host_that_is_cut_off(
    comes_back: bool, network: Network, data: Path, tmp_path: Path
) -> None:
    house = Hosts(tmp_path, network)
    config = configuration(data, tmp_path, "full", "r", house.cluster)
    config["fit"] |= {"max_iter": 40, "tol": 0.0}
    quiet = {"kind": "threads", "threads": 1}
    wanted = undisturbed(
        {**config, "cluster": quiet, "run": {**config["run"], "key": "w"}}, tmp_path
    )
    try:
        fit = house.start(config)
        fit.reach("saved", 5)
        network.cut(1)
        # It goes on without the host: ten iterations and their checkpoints.
        fit.reach("saved", 10)
        if comes_back:
            network.restore(1)
        assert fit.end() == 0, fit.errors
    finally:
        house.close()
    assert result(tmp_path / "r") == wanted


@pytest.mark.slow
def test_a_driver_that_is_cut_off_from_all(network: Network, data: Path, tmp_path: Path) -> None:
    """Both hosts: the driver says so and ends; started again once they are back, it goes on."""
    house = Hosts(tmp_path, network)
    config = configuration(data, tmp_path, "kmeans", "r", house.cluster)
    config["fit"] |= {"max_iter": 40, "tol": 0.0}
    quiet = {"kind": "threads", "threads": 1}
    wanted = undisturbed(
        {**config, "cluster": quiet, "run": {**config["run"], "key": "w"}}, tmp_path
    )
    try:
        fit = house.start(config)
        fit.reach("saved", 5)
        for i in range(2):
            network.cut(i)
        assert fit.end() == 6, fit.errors
        for i in range(2):
            network.restore(i)
        again = house.start(config)
        assert again.end() == 0, again.errors
    finally:
        house.close()
    assert result(tmp_path / "r") == wanted
    until(partial(_none_left, network.names))


def _none_left(names: list[str]) -> bool:
    """No process of the hosts is left."""
    commands = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    return not any(name in command for command in commands for name in names)
