"""What a flow makes of templates, of the parameter `set`, and of a run that is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun

from emdist.errors import ConfigError, SkippedError
from emdist.flows.cluster import cluster
from emdist.flows.ending import check_late
from emdist.flows.templates import parse_time, scheduled_for, zone_of
from emdist.settings.config import make_config
from tests.support.flow_processes import ROOT, ran


@pytest.mark.usefixtures("api")
def test_templates_and_settings_make_the_run(values: dict[str, Any], tmp_path: Path) -> None:
    values["run"]["key"] = "day-{scheduled:%Y-%m-%d}"
    values["labels"] = {"path": str(tmp_path / "labels-{scheduled:%j}.zarr")}
    with scheduled_for(parse_time("2026-02-01")):
        done = cluster(make_config(values), set=["fit.max_iter=2", "run.checkpoint_iterations=1"])
    assert done["iterations"] == 2
    assert Path(done["run"]).name == "day-2026-02-01"
    assert Path(done["labels"]).name == "labels-032.zarr"
    record = yaml.safe_load((Path(done["run"]) / "run.json").read_text())
    assert record["config"]["fit"]["max_iter"] == 2


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("key", "settings", "words"),
    [
        ("{deployment}", [], "belongs to no deployment"),
        ("{day}", [], r"unknown field \{day\}"),
        (None, ["fit.max_iter"], r"the parameter set 'fit\.max_iter': expected section\.key"),
        (None, ["fit.max_iters=3"], r"max_iters"),
        (None, ["data.storage_options.secret=x"], r"storage_options of data"),
        (None, ["run.key='{scheduled:%Q}'"], r"the format %Q"),
    ],
)
def test_nothing_starts_with_what_is_refused(
    values: dict[str, Any], key: str | None, settings: list[str], words: str, tmp_path: Path
) -> None:
    values["run"]["key"] = key
    with pytest.raises(ConfigError, match=words):
        cluster(make_config(values), set=settings)
    assert not (tmp_path / "runs").exists()


def late(seconds: float, **more: Any) -> FlowRun:
    due = datetime(2026, 11, 30, tzinfo=UTC)
    return FlowRun(
        flow_id=uuid4(),
        expected_start_time=due,
        start_time=due + timedelta(seconds=seconds),
        **{"auto_scheduled": True, **more},
    )


def test_a_late_run_is_skipped() -> None:
    with pytest.raises(SkippedError, match=r"2026-11-30 00:00:00 UTC and began 2 h 1 min later"):
        check_late(late(7260), "2h")


@pytest.mark.parametrize(
    ("run", "limit"),
    [(late(7100), "2h"), (late(1e6), None), (late(1e6, auto_scheduled=False), "2h")],
    ids=["in time", "no limit", "by hand"],
)
def test_other_runs_are_not(run: FlowRun, limit: str | None) -> None:
    check_late(run, limit)


def deployment(*zones: str | None) -> Any:
    schedules = [SimpleNamespace(id=uuid4(), schedule=SimpleNamespace(timezone=z)) for z in zones]
    return SimpleNamespace(schedules=schedules)


def test_the_time_zone_is_that_of_the_schedule() -> None:
    found = deployment("Europe/Berlin", "Asia/Tokyo")
    made = SimpleNamespace(created_by=SimpleNamespace(id=found.schedules[1].id))
    assert zone_of(found, cast(FlowRun, made)) == ZoneInfo("Asia/Tokyo")
    assert zone_of(found) is UTC
    assert zone_of(deployment("Asia/Tokyo", "Asia/Tokyo")) == ZoneInfo("Asia/Tokyo")
    assert zone_of(deployment()) is UTC
    assert str(zone_of(deployment(None))) == "UTC"


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--scheduled 'tomorrow' is no time.*2026-11-30"):
        parse_time("tomorrow")
    assert parse_time("2026-11-30T02:00+01:00").utcoffset() == timedelta(hours=1)


# ---- emdist flow check


def test_what_is_shipped_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("check", ROOT / "deploy/prefect.yaml") == 0
    assert "cluster/emdist: settings are valid" in capsys.readouterr().out


def test_the_schedules_that_are_shipped_as_comments_are_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live, shown = [], False
    for line in (ROOT / "deploy/prefect.yaml").read_text().splitlines():
        shown = line.startswith("    # ") and (shown or line == "    # schedules:")
        live.append(line.replace("    # ", "    ", 1) if shown else line)
    path = tmp_path / "prefect.yaml"
    path.write_text("\n".join(live))
    assert ran("check", path) == 0
    out = capsys.readouterr().out
    assert out.count("cluster/emdist: schedule ") == 3
    assert out.count("daily/emdist: schedule ") == 1
    assert "run.key daily-" in out
    assert "run.key emdist-" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedules": [{"cron": "61 * * * *"}]}, "schedule 1: cron '61"),
        ({"schedules": [{"cron": "0 2 * * *", "timezone": "Mars/Base"}]}, "Mars/Base"),
        ({"schedules": [{"timezone": "UTC"}]}, "exactly one of cron, interval and rrule"),
        ({"parameters": {"config": {"data": {}}}}, "data.path"),
        ({"parameters": {"conf": {}}}, "unknown parameter 'conf'"),
        ({"key": "{scheduled}"}, "no format of a date"),
    ],
)
def test_what_is_wrong_with_a_deployment_is_told(
    values: dict[str, Any],
    change: dict[str, Any],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values["run"]["key"] = change.pop("key", None)
    one = {"name": "d", "entrypoint": "emdist.flows.cluster.cluster", **change}
    one.setdefault("parameters", {"config": values})
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": [one]}))
    assert ran("check", path) == 2
    assert words in capsys.readouterr().err


def test_a_fixed_key_of_a_schedule_is_told(
    values: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values["run"]["key"] = "fixed"
    one = {
        "name": "d",
        "entrypoint": "emdist.flows.cluster:cluster",
        "parameters": {"config": values},
        "schedules": [
            {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
            {"interval": 3600, "parameters": {"set": ["run.key='h-{scheduled:%H}'"]}},
            {"rrule": "FREQ=DAILY;BYHOUR=3"},
        ],
    }
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": [one]}))
    assert ran("check", path) == 0
    out = capsys.readouterr().out
    assert "schedule 1 (cron 0 2 * * *, Europe/Berlin)" in out
    assert "note: run.key 'fixed' is the same each time" in out
    assert "run.key h-" in out
