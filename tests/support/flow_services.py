"""A Prefect server as users start it, deployments and workers on it."""

from __future__ import annotations

import sqlite3
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    temporary_settings,
)
from prefect.states import State

from emdist.settings.config import make_config
from tests.support.flow_processes import ROOT, Script, until
from tests.support.services import free_port

Start = Callable[..., Script]


@contextmanager
def whole_server(start: Start, home: Path, database: str | None = None) -> Iterator[Server]:
    """``prefect server start`` with a database, which is by default a file.

    The file begins as a copy, because migrations take long.
    """
    home.mkdir()
    if database is None:
        database = f"sqlite+aiosqlite:///{home / 'prefect.db'}"
        url = str(PREFECT_API_DATABASE_CONNECTION_URL.value())
        with (
            closing(sqlite3.connect(url.partition(":///")[2])) as old,
            closing(sqlite3.connect(home / "prefect.db")) as new,
        ):
            old.backup(new)
    server = Server(start, home, free_port(), database)
    server.start()
    with temporary_settings({PREFECT_API_URL: server.api}):
        yield server
    server.stop()


class Server:
    """A server that can be stopped and started again, with the same database and port."""

    def __init__(self, start: Start, home: Path, port: int, database: str) -> None:
        self.api = f"http://127.0.0.1:{port}/api"
        self._start, self._home, self._port, self._database = start, home, port, database
        self.script: Script

    def start(self) -> None:
        self.script = self._start(
            "prefect", "server", "start", "--host", "127.0.0.1", "--port", self._port, "--no-ui",
            PREFECT_HOME=str(self._home), PREFECT_API_DATABASE_CONNECTION_URL=self._database,
            PREFECT_API_URL=self.api,
        )  # fmt: skip
        until(lambda: self.script.process.poll() is not None or answers(self.api), "the server")
        assert self.script.process.poll() is None, self.script.text

    def stop(self) -> None:
        self.script.process.terminate()
        self.script.end()


def answers(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5):
            return True
    except OSError:
        return False


def deployed(
    client: SyncPrefectClient,
    name: str,
    pool: str,
    values: Mapping[str, Any],
    entrypoint: str = "emdist.flows.cluster.cluster",
) -> UUID:
    """A deployment of the flow that clusters."""
    return client.create_deployment(
        flow_id=client.create_flow_from_name("cluster"),
        name=name,
        entrypoint=entrypoint,
        pull_steps=[],
        work_pool_name=pool,
        parameters={"config": make_config(dict(values)).model_dump(mode="json")},
    )


def worker(start: Start, pool: str, *options: object, **environment: str) -> Script:
    """``emdist flow worker``, which looks for flow runs every second."""
    return start(
        "emdist", "flow", "worker", "--pool", pool, *options,
        PREFECT_API_URL=str(PREFECT_API_URL.value()), PREFECT_WORKER_QUERY_SECONDS="1",
        PYTHONPATH=str(ROOT), **environment,
    )  # fmt: skip


def state_of(client: SyncPrefectClient, run: FlowRun | UUID) -> State[Any]:
    found = client.read_flow_run(run if isinstance(run, UUID) else run.id).state
    assert found is not None
    return found


def comes_to(client: SyncPrefectClient, run: FlowRun | UUID, *names: str) -> State[Any]:
    """The state of a flow run, once its name is one of `names`."""

    def there() -> State[Any] | None:
        state = state_of(client, run)
        return state if state.name in names else None

    try:
        found: State[Any] = until(there, " or ".join(names))
    except AssertionError:
        raise AssertionError(f"{state_of(client, run)!r} and not {' or '.join(names)}") from None
    return found
