"""For every test: the same random data each time, and no address outside loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.covering import leave_the_rest_to_slow

#: Whose handlers are put back after each test.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
GUARD = Path(__file__).parent / "support" / "guard"
sys.path.insert(0, str(GUARD))

import network_guard  # noqa: E402

# A gate that fails by luck blames the wrong change; `make test-random` looks for new cases:
# RANDOM_LAWS=n has the laws meet new data.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", print_blob=True)
settings.load_profile("random" if os.environ.get("RANDOM_LAWS") else "repeatable")

network_guard.install()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shorten products of parameters before `-m` chooses."""
    leave_the_rest_to_slow(items)


def guarded_path(path: str | None) -> str:
    """A PYTHONPATH by which a process installs the guard."""
    parts = [part for part in (path or "").split(os.pathsep) if part and part != str(GUARD)]
    return os.pathsep.join([str(GUARD), *parts])


os.environ["PYTHONPATH"] = guarded_path(os.environ.get("PYTHONPATH"))
_start = subprocess.Popen.__init__


@wraps(_start)
def _guarded_start(self: Any, *args: Any, **kwargs: Any) -> None:
    """Tests that give a process its own PYTHONPATH, or hardly any environment, are guarded too."""
    if kwargs.get("env") is not None:
        env = {**kwargs["env"], "PYTHONPATH": guarded_path(kwargs["env"].get("PYTHONPATH"))}
        for name in (network_guard.NOTES, network_guard.ALLOWED):
            if name in os.environ:
                env.setdefault(name, os.environ[name])
        kwargs["env"] = env
    _start(self, *args, **kwargs)


subprocess.Popen.__init__ = _guarded_start  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def network_notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of what was tried, which a watcher of connections writes as well."""
    path = tmp_path_factory.mktemp("network") / "tried"
    path.touch()
    os.environ[network_guard.NOTES] = str(path)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for found in network_guard.foreign_connections():
                network_guard.note(found)

    watcher = threading.Thread(target=watch, name="network guard", daemon=True)
    watcher.start()
    yield path
    ended.set()
    watcher.join()


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Commands that a test calls in this process, and servers that it starts, set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where handlers cannot be set
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _dask_as_before() -> None:
    """Clients that are closed in another order than they were opened leave Dask without one.

    Dask then still asks for a client, in whatever test comes next.
    """
    config, client = sys.modules.get("dask.config"), sys.modules.get("distributed.client")
    if config is not None and (client is None or client._get_global_client() is None):
        config.config.pop("scheduler", None)


@pytest.fixture(autouse=True)
def _stays_on_loopback(network_notes: Path) -> Iterator[None]:
    """Fail the test that tried to reach another address, or one of whose processes did."""
    before = network_notes.stat().st_size
    yield
    if network_notes.stat().st_size > before:
        tried = network_notes.read_bytes()[before:].decode()
        pytest.fail(f"the test left loopback:\n{tried[:2000]}", pytrace=False)
