"""A series of ticks over data that grow: what each labels, fits and publishes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.composition.daily_config import DailyConfig, make_daily_config
from emdist.errors import ConfigError, DriftError, RunFencedError
from emdist.fit.events import Event, Progress, unheard
from emdist.interfaces import Floats
from emdist.jobs.daily import Daily
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import Config
from emdist.store.places.location import Location
from emdist.store.runs.publications import published

CENTRES = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
START = datetime(2026, 11, 1, 2, tzinfo=UTC)


def day(number: int, rows: int = 600, shift: float = 0.0) -> tuple[Floats, Any]:
    """Return rows of one day, and the cluster of each."""
    rng = np.random.default_rng(number)
    of = rng.integers(0, 3, rows)
    return rng.normal(size=(rows, 2)) + CENTRES[of] + shift, of


class Growing:
    """An array that grows by the day, and the true clusters of its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truth = np.zeros(0, int)
        self.array = zarr.create_array(path, shape=(0, 2), chunks=(200, 2), dtype="float64")

    def grow(self, number: int, **how: Any) -> None:
        rows, of = day(number, **how)
        self.array.append(rows)
        self.truth = np.concatenate([self.truth, of])


@pytest.fixture
def data(tmp_path: Path) -> Growing:
    return Growing(tmp_path / "growing.zarr")


@pytest.fixture
def config(data: Growing, tmp_path: Path) -> Callable[..., DailyConfig]:
    def made(**sections: dict[str, Any]) -> DailyConfig:
        values: dict[str, Any] = {
            "data": {"path": str(data.path), "block_size": "3200 B"},
            "model": {"name": "diagonal", "n_components": 3},
            "fit": {"max_iter": 30},
            "run": {"folder": str(tmp_path / "runs")},
            "daily": {"folder": str(tmp_path / "published")},
        }
        for name, own in sections.items():
            values[name] = {**values.get(name, {}), **own}
        return make_daily_config(values)

    return made


def fit(config: Config) -> None:
    with open_job(config) as job:
        if isinstance(job, Job):
            job.complete()


def tick(config: DailyConfig, at: float = 0, **how: Any) -> dict[str, Any]:
    daily = Daily(config, START + timedelta(days=at), how.pop("listen", unheard))
    return daily.tick(how.pop("fit", fit), how.pop("stage", lambda work, *_: work()))


def labels(found: dict[str, Any]) -> Any:
    return np.asarray(zarr.open_group(found["labels"], mode="r")["labels"])


def same_everywhere(data: Growing, found: Any) -> bool:
    """Whether each true cluster has one label in all rows, up to a few rows between clusters."""
    table = np.zeros((3, 3))
    np.add.at(table, (data.truth, found), 1)
    return bool(table.max(1).sum() / table.sum() > 0.99)


def test_new_rows_are_labelled_by_the_accepted_model(
    data: Growing, config: Callable[..., DailyConfig], tmp_path: Path
) -> None:
    data.grow(1)
    first = tick(config())
    assert (first["number"], first["rows"], first["fitted"]) == (1, 600, "there is no model yet")
    before = labels(first)
    data.grow(2)
    second = tick(config(), 1)
    assert (second["number"], second["new_rows"], second["fitted"]) == (2, 600, None)
    assert second["model"] == first["model"]
    found = labels(second)
    np.testing.assert_array_equal(found[:600], before)
    assert same_everywhere(data, found)
    # What is published is opened by the name of the folder.
    opened = emdist.open_labels(str(tmp_path / "published"))
    np.testing.assert_array_equal(opened["labels"].values, found)
    model = emdist.load(tmp_path / "published")
    np.testing.assert_array_equal(model.predict(np.asarray(data.array)), found)


def test_a_tick_that_is_repeated_does_nothing(
    data: Growing, config: Callable[..., DailyConfig], tmp_path: Path
) -> None:
    data.grow(1)
    first = tick(config())
    files = {
        p: p.read_bytes()
        for p in (tmp_path / "published").rglob("*.json")
        if "owners" not in str(p)
    }
    again = tick(config())
    assert again["already_done"]
    assert again["number"] == first["number"]
    assert not first["already_done"]
    for path, text in files.items():
        assert path.read_bytes() == text


def test_a_refit_is_warm_and_keeps_the_meaning_of_labels(
    data: Growing, config: Callable[..., DailyConfig]
) -> None:
    weekly = config(daily={"refit_every": "7d"})
    data.grow(1)
    first = tick(weekly)
    old = labels(first)
    for at in range(1, 7):
        data.grow(1 + at, rows=100)
        assert tick(weekly, at)["fitted"] is None
    data.grow(9)
    found = tick(weekly, 7)
    assert found["fitted"] == "the last fit was 7d ago"
    assert found["model"] != first["model"]
    assert found["labels"] != first["labels"]
    assert found["rows"] == len(data.truth)
    assert same_everywhere(data, labels(found))
    assert np.mean(labels(found)[:600] == old) > 0.99
    np.testing.assert_array_equal(labels(first)[:600], old)  # Those before are kept.
    assert tick(weekly, 7)["already_done"]
    assert tick(weekly, 8)["fitted"] is None


def test_drift_of_new_rows_makes_a_fit(data: Growing, config: Callable[..., DailyConfig]) -> None:
    watched = config(daily={"refit_score": 0.5})
    data.grow(1)
    tick(watched)
    data.grow(2)
    quiet = tick(watched, 1)
    assert quiet["fitted"] is None
    assert abs(quiet["drift"]["score"]) < 0.2
    data.grow(3, shift=2.0)
    found = tick(watched, 2)
    assert found["fitted"].startswith("the model describes new rows worse by ")
    assert tick(watched, 2)["already_done"]


def test_a_model_beyond_the_limits_is_not_published(
    data: Growing, config: Callable[..., DailyConfig]
) -> None:
    limits = {"daily": {"refit_every": "1d"}, "drift": {"moved": 0.1, "action": "fail"}}
    data.grow(1)
    first = tick(config(**limits))
    data.grow(2, shift=2.0)
    for _ in range(2):  # The same tick ends in the same way.
        with pytest.raises(DriftError, match=r"drift\.moved"):
            tick(config(**limits), 1)
    kept = json.loads(Path(first["model"]).parent.parent.joinpath("current.json").read_text())
    assert (kept["run"], kept["rows"]) == (1, 1200)
    assert len(labels(first)) == 1200
    accepted = tick(config(**{**limits, "drift": {"action": "warn"}}), 1)
    assert accepted["model"].endswith("models/000002")
    assert accepted["fitted"] == "the last fit was refused"


class Killed(BaseException):
    """Ends a tick as SIGKILL would."""


def killed_after(stage: str) -> tuple[Callable[[Event], None], dict[str, Any]]:
    """A listener that ends the tick at the first step of a labelling, and whether it did."""
    seen: dict[str, Any] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.what == stage:
            seen["killed"] = True
            raise Killed

    return listen, seen


def test_a_tick_that_was_killed_is_continued_by_the_next(
    data: Growing, config: Callable[..., DailyConfig], tmp_path: Path
) -> None:
    weekly = config(daily={"refit_every": "7d"})
    data.grow(1)

    def cut(run: Config) -> None:
        with open_job(run) as job:
            assert isinstance(job, Job)
            job.survey()
            raise Killed

    with pytest.raises(Killed):
        tick(weekly, fit=cut)
    data.grow(2)
    first = tick(weekly, 1)
    # The run went on with the rows that it had begun with, and all rows have labels.
    assert json.loads((tmp_path / "runs/daily-000001/run.json").read_text())["rows"] == "0:600"
    assert first["rows"] == 1200
    assert same_everywhere(data, labels(first))
    data.grow(3)
    listen, seen = killed_after("label")
    with pytest.raises(Killed):
        tick(weekly, 2, listen=listen)
    assert seen["killed"]
    assert published(Location(str(tmp_path / "published")), "labels").url == first["labels"]
    data.grow(4)
    with pytest.raises(Killed):
        tick(weekly, 8, fit=cut)
    last = tick(weekly, 9)
    assert last["fitted"] == "a fit was interrupted"
    assert last["rows"] == 2400
    assert same_everywhere(data, labels(last))
    assert tick(weekly, 9)["already_done"]


def test_an_interrupted_fit_with_other_settings_begins_anew(
    data: Growing, config: Callable[..., DailyConfig]
) -> None:
    data.grow(1)

    def cut(run: Config) -> None:
        with open_job(run) as job:
            assert isinstance(job, Job)
            job.survey()
            while not job.segment().iterations:
                pass
            raise Killed

    often = {"run": {"checkpoint_iterations": 1}}
    with pytest.raises(Killed):
        tick(config(**often), fit=cut)
    found = tick(config(fit={"max_iter": 20}, **often))
    assert found["model"].endswith("models/000002")


def test_of_two_ticks_at_once_the_older_gives_up(
    data: Growing, config: Callable[..., DailyConfig]
) -> None:
    data.grow(1)
    takes = config(run={"if_running": "take_over"})
    tick(takes)
    data.grow(2)
    inner: list[dict[str, Any]] = []

    def stage(work: Callable[[], dict[str, Any]], *_: object) -> dict[str, Any]:
        inner.append(tick(takes, 1))
        return work()

    with pytest.raises(RunFencedError):
        tick(takes, 1, stage=stage)
    assert inner[0]["number"] == 2
    assert inner[0]["rows"] == 1200
    assert tick(takes, 1)["already_done"]


def test_select_rows_new_are_the_rows_behind_the_last_fit(
    data: Growing, config: Callable[..., DailyConfig], tmp_path: Path
) -> None:
    new = config(daily={"refit_every": "1d"}, data={"select_rows": "new"})
    data.grow(1)
    tick(new)
    data.grow(2)
    tick(new, 1)
    rows = [
        json.loads((tmp_path / f"runs/daily-00000{n}/run.json").read_text())["rows"] for n in (1, 2)
    ]
    assert rows == ["0:600", "600:1200"]


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("labels", {"path": "x.zarr"}, "daily.folder"),
        ("labels", {"overwrite": True}, "labels.overwrite"),
        ("run", {"key": "d-{scheduled:%Y}"}, "names the whole series"),
        ("daily", {"refit_every": "7"}, "with a unit"),
    ],
)
def test_settings_that_a_series_cannot_have(
    config: Callable[..., DailyConfig], section: str, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        config(**{section: values})
