"""A deployment with a schedule on a server as users start it: a run is made, and completed.

Prefect 3.8.8 with SQLAlchemy 2.1.9 made none: the scheduler failed at each pass, and only the
server's log said so. The server of the other tests, as `emdist flow` starts one, has no scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.settings import PREFECT_API_URL

from emdist.settings.config import make_config
from tests.support.flow_processes import Script, until
from tests.support.flow_services import whole_server

POOL = "scheduled"
#: Its days begin at half past six in UTC, so that no other time zone gives its hours.
ZONE = "Asia/Kolkata"


def scheduled(client: SyncPrefectClient, values: dict[str, Any]) -> UUID:
    """A deployment of the main job that is due every three seconds from now on."""
    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    every = IntervalSchedule(
        interval=timedelta(seconds=3), anchor_date=datetime.now(UTC), timezone=ZONE
    )
    values["run"]["key"] = "{deployment}-{scheduled:%Y%m%dT%H%M%S}"
    return client.create_deployment(
        flow_id=client.create_flow_from_name("cluster"),
        name="often",
        entrypoint="emdist.flows.cluster.cluster",
        pull_steps=[],
        work_pool_name=POOL,
        parameters={"config": make_config(values).model_dump(mode="json")},
        schedules=[DeploymentScheduleCreate(schedule=every)],
    )


def runs(client: SyncPrefectClient, deployment: UUID, state: StateType) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[state]))
        ),
    )


@pytest.mark.newest
@pytest.mark.usefixtures("api")
def test_a_schedule_makes_a_run_and_a_worker_completes_it(
    start: Callable[..., Script], values: dict[str, Any], tmp_path: Path
) -> None:
    with (
        whole_server(start, tmp_path / "server"),
        get_client(sync_client=True) as client,
    ):
        deployment = scheduled(client, values)
        until(lambda: runs(client, deployment, StateType.SCHEDULED), "a run that the schedule made")
        worker = start(
            "prefect", "worker", "start", "--pool", POOL, "--type", "process",
            "--run-once", "--limit", "1", "--prefetch-seconds", "60",
            PREFECT_API_URL=str(PREFECT_API_URL.value()),
        )  # fmt: skip
        assert worker.end() == 0, worker.text
        (done,) = runs(client, deployment, StateType.COMPLETED)
        assert done.auto_scheduled, worker.text
    assert done.expected_start_time is not None
    key = f"often-{done.expected_start_time.astimezone(ZoneInfo(ZONE)):%Y%m%dT%H%M%S}"
    assert (tmp_path / "runs" / key / "final" / "model.json").exists(), worker.text
    assert done.name == f"x full-4 {key}"
    assert set(done.tags) >= {"emdist", "full"}
