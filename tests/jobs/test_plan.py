"""What a plan says of a fit before it begins, and what the summary then says of the plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.composition.forecast import Stage, Trial, Work, compared, forecast, total
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import (
    ConfigError,
    DataError,
    DomainError,
    NotFoundError,
    SchedulerError,
    StartError,
)
from emdist.fit.events import Event, Warned
from emdist.inputs.plugins import plugins
from emdist.inputs.sequences import Sequences
from emdist.jobs.forecast import forecast_of
from emdist.jobs.run import open_job
from emdist.jobs.trial import Clock, Scale
from emdist.settings.config import SCHEDULES, make_config
from emdist.store.sources.arrays import array_source
from emdist.store.sources.sampled import SampledBlocks, spread_over
from emdist.store.sources.sequenced import SequencedSource
from emdist.sums import Sums
from tests.support.fitting import ALL_FAMILIES, CENTRES, ONE_THREAD, draw, options_of

#: Four stages that take 2, 0, 3 and 1 s for a hundred blocks, with a fixed time of 0.5 s.
TRIAL = Trial(
    4,
    5.0,
    0.5,
    0.01,
    0.02,
    Stage(0.0, 1, 1.0, 0.015),
    Stage(0.0, 0, 0.0, 0.0),
    Stage(1.0, 1, 1.0, 0.03),
    Stage(0.0, 1, 1.0, 0.005),
)
WORK = Work(1000, 2, 100, 16_000, 0, 10, False, True)


def written(path: Path, x: Any, rows: int = 100) -> Path:
    array = zarr.create_array(path, shape=x.shape, chunks=(rows, x.shape[1]), dtype=x.dtype)
    array[:] = x
    return path


def values(tmp_path: Path, x: Any = None, **sections: Any) -> dict[str, Any]:
    """A configuration for `x`, by default of 300 rows in three clusters, with a plan."""
    if x is None:
        x = draw("full", 300, 2, 3)[0]
    data = tmp_path / "x.zarr"
    if not data.exists():
        written(data, x)
    made = {
        "data": {"path": str(data), "block_size": f"{100 * x.itemsize * x.shape[1]} B"},
        "model": {"name": "full", "n_components": 3},
        "fit": {"max_iter": 5},
        "run": {"folder": str(tmp_path / "runs"), "key": "a", "plan": "always"},
        "labels": {"write": False},
    }
    return {name: {**made.get(name, {}), **sections.get(name, {})} for name in {**made, **sections}}


def ran(config: Any) -> tuple[dict[str, Any], list[Event]]:
    """The summary of a run, and its events."""
    told: list[Event] = []
    with open_job(config, listen=told.append) as job:
        assert not isinstance(job, dict)
        job.complete()
    return json.loads(Path(config.run.folder, "a", "summary.json").read_bytes()), told


@pytest.mark.parametrize("name", [*CENTRES, "kcentroids", *ALL_FAMILIES])
def test_every_model_has_a_plan_and_its_summary_tells_how_right_it_was(
    name: str, tmp_path: Path
) -> None:
    x = draw(name if name in ALL_FAMILIES else "full", 300, 3, 3)[0]
    model = {"name": name, "options": options_of(name, 3), "n_components": 3}
    config = make_config(values(tmp_path, x, model=model))
    found = json.loads(json.dumps(forecast_of(config, 0.05)))
    assert found["problem"] is None
    assert found["exit_code"] == 0
    assert found["data"]["rows"] == 300
    assert found["data"]["blocks"] == 3
    assert found["memory"]["driver"]["needed"] > 0
    seconds = found["seconds"]
    assert seconds["survey"] > 0
    assert seconds["iteration"] > 0
    assert seconds["label"] > 0
    assert seconds["all"] == total(seconds, found["iterations"])
    assert found["iterations"] == 5
    assert not Path(config.run.folder).exists(), "a plan stored something"
    planned = ran(config)[0]["result"]["planned"]
    assert set(planned) == {"survey", "fit", "label", "all"}
    assert all(one["predicted"] > 0 and one["actual"] > 0 for one in planned.values())


@pytest.mark.parametrize("schedule", sorted(plugins(SCHEDULES, "schedule")))
def test_every_schedule_has_a_plan(schedule: str, tmp_path: Path) -> None:
    name = "kmeans" if schedule in ("minibatch", "pruned") else "full"
    chosen = {"schedule": schedule, "max_iter": 7}
    config = make_config(values(tmp_path, model={"name": name}, fit=chosen))
    found = forecast_of(config, 0.05)
    assert found["iterations"] == 7
    assert found["seconds"]["iteration"] > 0


def test_the_result_is_that_of_a_run_without_a_plan(tmp_path: Path) -> None:
    with_plan, told = ran(make_config(values(tmp_path)))
    assert "trial" in [getattr(event, "stage", "") for event in told]
    without = values(tmp_path, run={"folder": str(tmp_path / "others"), "plan": "never"})
    plain, told = ran(make_config(without))
    assert "trial" not in [getattr(event, "stage", "") for event in told]
    assert "planned" not in plain["result"]
    assert with_plan["result"]["objective"] == plain["result"]["objective"]
    folder = Path(with_plan["run"])
    assert json.loads((folder / "plan.json").read_bytes())["seconds"]["all"] > 0


def test_a_sweep_is_planned_with_all_its_models(tmp_path: Path) -> None:
    config = make_sweep_config(values(tmp_path, sweep={"n_components": [1, 2, 3]}))
    found = forecast_of(config, 0.05)
    assert found["seconds"]["score"] == found["seconds"]["iteration"] > 0
    assert found["seconds"]["label"] == 0, "labels are not written"
    planned = ran(config)[0]["planned"]
    assert set(planned) == {"survey", "fit", "score", "all"}


def test_a_hidden_markov_model_is_planned_with_its_sequences(tmp_path: Path) -> None:
    model = {"name": "hmm", "n_components": 3}
    data = {"lengths": [150, 50, 100]}
    config = make_config(values(tmp_path, model=model, data=data))
    assert forecast_of(config, 0.05)["seconds"]["iteration"] > 0


def test_starts_are_planned_together(tmp_path: Path) -> None:
    fit = {"n_init": 3, "max_iter": 4, "tol": 0.0}
    config = make_config(values(tmp_path, model={"name": "kmeans"}, fit=fit))
    summary = ran(config)[0]
    assert summary["result"]["planned"]["fit"]["actual"] > 0
    assert forecast_of(config, 0.05)["iterations"] == 4


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_are_enough(rows: int, tmp_path: Path) -> None:
    x = np.arange(2.0 * rows).reshape(rows, 2)
    config = make_config(values(tmp_path, x, model={"name": "kmeans", "n_components": rows}))
    assert forecast_of(config, 0.05)["seconds"]["all"] > 0


def test_prepared_rows_are_tried_as_the_fit_sees_them(tmp_path: Path) -> None:
    steps = ["standardise", {"pca": {"components": 1}}]
    config = make_config(values(tmp_path) | {"prepare": steps})
    assert forecast_of(config, 0.05)["seconds"]["iteration"] > 0
    assert ran(config)[0]["result"]["planned"]["all"]["predicted"] > 0


def test_a_grid_of_variables_has_a_plan(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    rng = np.random.default_rng(0)
    shape = ("time", "depth", "x")
    found = {n: (shape, rng.normal(size=(6, 3, 20))) for n in ("TEMP", "PSAL")}
    xarray.Dataset(found).to_zarr(tmp_path / "ocean.zarr")
    data = {
        "path": str(tmp_path / "ocean.zarr"),
        "variables": ["TEMP", "PSAL"],
        "features": ["depth"],
        "block_size": "2 KiB",
    }
    told = forecast_of(make_config(values(tmp_path, data=data)), 0.05)
    assert told["data"]["rows"] == 120
    assert told["data"]["features"] == 6
    assert told["seconds"]["all"] > 0


def test_nothing_is_tried_in_no_time_or_without_memory(tmp_path: Path) -> None:
    found = forecast_of(make_config(values(tmp_path)), 0)
    assert found["seconds"] is None
    assert found["problem"] is None
    little = make_config(values(tmp_path, cluster={"memory": "1 MiB"}))
    found = forecast_of(little, 0.05)
    assert found["seconds"] is None
    assert found["exit_code"] == ConfigError.exit_code
    assert "cluster.memory" in found["problem"]


def test_a_worker_that_is_too_small_is_told(tmp_path: Path) -> None:
    x = np.ones((4_000_000, 8), np.float32)
    written(tmp_path / "x.zarr", x, len(x))
    cluster = {"kind": "local", "n_workers": 1, "memory_limit": "400 MiB"}
    config = make_config(values(tmp_path, x, cluster=cluster, data={"block_size": "128 MiB"}))
    found = forecast_of(config, 0.05)
    assert found["seconds"] is None
    assert found["exit_code"] == 6
    assert "MiB" in found["problem"]


def test_workers_are_told_with_their_memory(tmp_path: Path) -> None:
    config = make_config(values(tmp_path, cluster={"kind": "local", "n_workers": 2}))
    found = forecast_of(config, 0.05)
    assert found["cluster"]["workers"] == 2
    assert found["cluster"]["cores"] >= 2
    assert found["memory"]["worker"]["needed"] > 0
    assert found["seconds"]["all"] > 0


def test_what_a_fit_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="400 components for 300 rows"):
        forecast_of(make_config(values(tmp_path, model={"n_components": 400})))
    with pytest.raises(NotFoundError):
        forecast_of(make_config(values(tmp_path, data={"path": str(tmp_path / "no.zarr")})))
    missing = {"path": str(tmp_path / "no.zarr")}
    ingest = values(tmp_path, data=missing) | {"ingest": {"source": "x.csv"}}
    with pytest.raises(ConfigError, match="would ingest x"):
        forecast_of(make_config(ingest))
    nobody = {"kind": "address", "address": "tcp://127.0.0.1:1", "timeout": 0.1}
    with pytest.raises(SchedulerError):
        forecast_of(make_config(values(tmp_path, cluster=nobody)))


def test_data_that_a_fit_would_refuse_are_a_problem_and_no_end_of_a_run(tmp_path: Path) -> None:
    x = np.full((300, 2), 7.5)
    found = forecast_of(make_config(values(tmp_path, x, model={"name": "bernoulli"})), 0.05)
    assert found["seconds"] is None
    assert found["exit_code"] == DomainError.exit_code
    # One value in all blocks of the trial, so no three clusters are in them.
    told: list[Event] = []
    config = make_config(values(tmp_path, x, model={"name": "kmeans"}))
    with open_job(config, listen=told.append) as job:
        assert not isinstance(job, dict)
        job.foresee()
        warned = [event.message for event in told if isinstance(event, Warned)]
        assert any("run.plan" in message for message in warned)
        with pytest.raises(DataError, match="distinct"):
            job.complete()


def test_a_run_that_has_begun_is_not_planned(tmp_path: Path) -> None:
    config = make_config(values(tmp_path, run={"plan": "auto"}))
    with open_job(config) as job:
        assert not isinstance(job, dict)
        assert not job.is_foreseeable(auto=True), "the data are small"
    config = make_config(values(tmp_path))
    with open_job(config) as job:
        assert not isinstance(job, dict)
        assert job.is_foreseeable()
        job.survey()
        assert not job.is_foreseeable()
        assert "planned" not in job.complete().result


def test_times_follow_the_formula() -> None:
    found = forecast(WORK, TRIAL)
    assert found["seconds"] == pytest.approx(
        {"survey": 2.0, "seeding": 0.0, "iteration": 4.5, "score": 0.0, "label": 1.0, "all": 48.0}
    )
    assert found["limit"] == "computing"
    assert found["reads"] == {"iteration": 16_000, "all": 16_000 * 12}
    kept = forecast(replace(WORK, kept=8_000), TRIAL)
    assert kept["seconds"]["iteration"] == pytest.approx(4.0)
    assert kept["reads"] == {"iteration": 8_000, "all": 16_000 + 11 * 8_000}
    slow = forecast(WORK, replace(TRIAL, read=0.029))
    assert slow["limit"] == "reading"
    work = replace(WORK, blocks=1_000_000, tasks=True)
    quick = replace(TRIAL, iteration=Stage(0.0, 1, 1.0, 1e-6))
    assert forecast(work, quick)["limit"] == "scheduler"
    driver = replace(TRIAL, iteration=Stage(9.0, 1, 1.0, 1e-6))
    assert forecast(WORK, driver)["limit"] == "driver"


def test_the_driver_is_no_part_of_what_grows_with_the_data() -> None:
    stage = Scale(4, 0.5).stage(np.array([5.0, 2, 8, 3.0]))
    assert stage == Stage(2.0, 2, 2.0, 0.25)
    assert stage.seconds(100, 0.5, 0.0) == pytest.approx(2 + 1 + 50)


def test_a_clock_counts_passes_and_blocks() -> None:
    clock = Clock(ONE_THREAD)
    clock.map_reduce(lambda i: Sums({"n": np.array(1.0)}), range(3))
    assert (clock.passes, clock.blocks) == (1, 3)
    assert clock.seconds > 0


def test_plans_are_compared_by_the_stages_of_the_run() -> None:
    found = forecast(WORK, TRIAL)
    figures = compared(found, {"survey": 1.0, "fit": 9.0, "plan": 5.0}, 2)
    assert figures["survey"] == {"predicted": pytest.approx(2.0), "actual": 1.0}
    assert figures["fit"] == {"predicted": pytest.approx(9.0), "actual": 9.0}
    assert figures["all"] == {"predicted": pytest.approx(11.0), "actual": 10.0}


def test_sampled_blocks_are_rows_of_the_source_numbered_anew() -> None:
    x = np.arange(20.0).reshape(10, 2)
    source = array_source(x, block_bytes=32)
    assert len(source) == 5
    part = SampledBlocks(source, spread_over(5, 2))
    assert part.picked == (0, 2)
    assert part.shape == (4, 2)
    blocks = [part.read(i) for i in range(2)]
    assert [block.start for block in blocks] == [0, 2]
    assert np.array_equal(np.concatenate([block.x for block in blocks]), x[[0, 1, 4, 5]])
    assert part.fingerprint() != source.fingerprint()


def test_sampled_blocks_keep_where_sequences_begin() -> None:
    source = array_source(np.arange(20.0).reshape(10, 2), block_bytes=32)
    part = SampledBlocks(SequencedSource(source, Sequences(np.array([0, 3, 5, 6]), 10)), (1, 2, 4))
    assert part.sequences is not None
    assert part.sequences.starts.tolist() == [0, 1, 3]
    assert part.sequences.rows == 6
    pieces = [part.read(i).pieces for i in range(3)]
    assert [piece.starts.tolist() for piece in pieces if piece] == [[0, 1], [1], []]
    assert [piece.goes_on for piece in pieces if piece] == [True, True, False]
