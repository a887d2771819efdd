"""Days of a series under everything that operators and machines do, and nobody to mend it.

A server, workers and a schedule as users start them. A "day" is a few seconds. Each day brings
rows, and something happens while a tick of the series is in the middle of its fit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import IntervalSchedule

from emdist.composition.daily_config import make_daily_config
from emdist.flows import setup
from emdist.flows.setup import Care
from tests.support.flow_processes import Script
from tests.support.flow_services import Server, whole_server, worker

pytestmark = pytest.mark.slow

POOL = "days"
#: Heartbeats come every 30 s, which is the least that Prefect allows; 45 s of silence are a crash.
CARE = Care(POOL, limit=2, heartbeat=45 / setup.PATIENCE, start_timeout=60, retry_delay=10)
DAY = timedelta(seconds=30)
ROWS = 600
CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])


def eventually(condition: Callable[[], Any], what: str, seconds: float = 400.0) -> Any:
    """Wait for what takes several days and a few crashes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return value


class Series:
    """Data that grow, what is published of them, and the worker that is at work on them."""

    def __init__(self, folder: Path, start: Callable[..., Script]) -> None:
        self.folder, self._start = folder, start
        self.gate, self.held = folder / "gate", folder / "gate.held"
        self.truth = np.empty(0, dtype=int)
        self.workers: list[Script] = []

    def grow(self) -> None:
        """Another day's rows, of three clusters."""
        rng = np.random.default_rng(len(self.truth))
        truth = rng.integers(0, 3, ROWS)
        path = self.folder / "growing.zarr"
        if not len(self.truth):
            zarr.create_array(path, shape=(0, 2), chunks=(200, 2), dtype="float64")
        zarr.open_array(path, mode="r+").append(rng.normal(size=(ROWS, 2)) + CENTRES[truth])
        self.truth = np.append(self.truth, truth)

    @property
    def published(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "published/current.json").read_text())
        except FileNotFoundError:
            return {"rows": 0, "number": 0}
        return found

    def labels(self) -> np.ndarray[Any, Any]:
        """The published labels of all rows that are said to have one."""
        found = self.published
        array: Any = zarr.open_group(self.folder / "published" / found["labels"], mode="r")[
            "labels"
        ]
        return np.asarray(array[: found["rows"]])

    def work(self) -> None:
        """Start a worker."""
        self.workers.append(
            worker(
                self._start, POOL, EMDIST_TEST_GATE=str(self.gate), EMDIST_TEST_HOLD_AFTER="1",
                PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30", PREFECT_WORKER_HEARTBEAT_SECONDS="5",
            )
        )  # fmt: skip

    def hold(self) -> None:
        """Wait until a tick is in its fit, and stays there."""
        self.held.unlink(missing_ok=True)
        self.gate.touch()
        eventually(self.held.exists, "a tick in its fit")

    def release(self) -> None:
        self.gate.unlink()

    def all_published(self) -> None:
        """Wait until each row of each day has the label of its cluster."""
        wanted = len(self.truth)
        eventually(lambda: self.published["rows"] == wanted, f"labels of {wanted} rows")


def processes(script: Script, having: str = "") -> list[psutil.Process]:
    """Processes that a worker has started, whose command has that text."""
    found = psutil.Process(script.process.pid).children(recursive=True)
    return [one for one in found if having in " ".join(one.cmdline())]


def flow_runs(client: SyncPrefectClient, *states: StateType) -> list[FlowRun]:
    only = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))))
    return client.read_flow_runs(flow_run_filter=only)


@pytest.fixture
def server(api: str, start: Callable[..., Script], tmp_path: Path) -> Iterator[Server]:
    with whole_server(start, tmp_path / "server") as found:
        setup.run(CARE)
        yield found


@pytest.fixture
def series(start: Callable[..., Script], tmp_path: Path) -> Iterator[Series]:
    found = Series(tmp_path, start)
    yield found
    for script in found.workers:
        with suppress(psutil.NoSuchProcess):
            for one in processes(script):
                one.kill()


def scheduled(client: SyncPrefectClient, series: Series) -> None:
    """A deployment of the daily flow, which is due every "day"."""
    values = {
        "data": {"path": str(series.folder / "growing.zarr"), "block_size": "3200 B"},
        "model": {"name": "diagonal", "n_components": 3},
        "fit": {"max_iter": 8, "tol": 0.0},
        "run": {"folder": str(series.folder / "runs"), "checkpoint_iterations": 1},
        "cluster": {"kind": "threads", "threads": 1},
        "daily": {"folder": str(series.folder / "published"), "refit_every": "10s"},
    }
    every = IntervalSchedule(interval=DAY, anchor_date=datetime.now(UTC))
    client.create_deployment(
        flow_id=client.create_flow_from_name("daily"),
        name="days",
        entrypoint="tests.flows.gated.daily",
        pull_steps=[],
        work_pool_name=POOL,
        parameters={"config": make_daily_config(values).model_dump(mode="json")},
        schedules=[DeploymentScheduleCreate(schedule=every)],
    )


def end_of_schedule(client: SyncPrefectClient) -> None:
    """Make no more days; those that are due are worked on."""
    deployment = client.read_deployment_by_name("daily/days")
    client.update_deployment_schedule(deployment.id, deployment.schedules[0].id, active=False)


@pytest.mark.timeout(1800)
def test_every_day_has_its_labels_whatever_happens(
    server: Server, series: Series, tmp_path: Path
) -> None:
    with get_client(sync_client=True) as client:
        series.grow()
        scheduled(client, series)
        series.work()
        series.all_published()

        # An overlap: the next day begins while this one is in its fit.
        series.grow()
        series.hold()
        eventually(lambda: len(flow_runs(client, StateType.RUNNING)) == 2, "two days at once")
        series.release()
        series.all_published()
        numbers = {int(k): int(series.labels()[series.truth == k][0]) for k in range(3)}

        # The process of a tick is killed.
        series.grow()
        series.hold()
        for one in processes(series.workers[-1], "prefect.engine"):
            one.kill()
        series.release()
        series.all_published()

        # The server is restarted.
        series.grow()
        series.hold()
        server.stop()
        server.start()
        series.release()
        series.all_published()

        # The worker is drained, and another one takes its place.
        series.grow()
        series.hold()
        series.workers[-1].process.terminate()
        series.work()
        assert series.workers[-2].end() == 143, series.workers[-2].text
        series.release()
        series.all_published()

        # The machine of the worker is lost, and there is another one.
        series.grow()
        series.hold()
        for one in [*processes(series.workers[-1]), series.workers[-1].process]:
            one.kill()
        series.release()
        series.work()
        series.all_published()

        # All that began has come to its end, and the pool has its slots.
        end_of_schedule(client)
        well = {"Completed", "Skipped", "Cancelled"}
        eventually(
            lambda: {run.state_name for run in flow_runs(client, *StateType)} <= well,
            "the end of all flow runs",
        )
        series.workers[-1].process.terminate()
        assert series.workers[-1].end() == 143, series.workers[-1].text
    expected = np.array([numbers[k] for k in range(3)])[series.truth]
    assert np.mean(series.labels() == expected) > 0.999
