"""Laws of the default schedule: K-means skips rows where that pays, for the same result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist import KMeans
from emdist.engines.threads import LocalEngine
from emdist.fit.events import Event, Pruning
from emdist.fit.loop import iterate
from emdist.fit.schedules import auto
from emdist.fit.schedules.auto import Auto
from emdist.fit.start import Given
from emdist.fit.state import FitState
from emdist.interfaces import Array
from emdist.jobs.fit import FitJob
from emdist.jobs.inspect import inspect
from emdist.jobs.run import as_begun, open_job
from emdist.report.inspection import page_of_inspection
from emdist.runtime.cache import MEMO
from emdist.settings.config import Config, make_config
from emdist.store.places.location import Location
from emdist.store.sources.arrays import array_source
from tests.laws.test_pruned import assert_lloyds, lloyd, streamed
from tests.support.fitting import Setting, blobs, prepare, run, same_bits


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pruning pay for a few rows."""
    monkeypatch.setattr(auto, "_PRODUCTS", 1)
    monkeypatch.setattr(auto, "_OF_ROW", 1)


def rows() -> Array:
    found, _ = blobs(4000, 16, 20, 1.0, dtype="float32")
    return found


def fitting(source: Any, **options: Any) -> tuple[Any, list[Pruning]]:
    seen: list[Pruning] = []

    def listen(event: Event) -> None:
        if isinstance(event, Pruning):
            seen.append(event)

    return lloyd(source, 20, rows()[:20], "auto", listen=listen, **options), seen


@pytest.mark.parametrize(
    ("n", "d", "k", "dtype", "chosen"),
    [
        (100_000, 16, 64, "float32", "pruned"),
        (100_000, 16, 15, "float32", "batch"),  # few centres
        (1_000, 16, 64, "float32", "batch"),  # few rows
        (1_000_000, 4, 128, "float32", "batch"),  # bounds are nearly as large as the rows
        (100_000, 128, 1000, "float32", "pruned"),  # sums are larger than bounds
        (100_000, 128, 2000, "float32", "batch"),  # sums are larger than the rows
        (1_000_000, 4, 128, "float64", "pruned"),
        (1_000_000, 4, 64, "float64", "batch"),  # distances cost as little as bounds
        (9_000_000, 16, 64, "float32", "batch"),  # bounds of more than 64 MiB
    ],
)
def test_the_choice_follows_from_shape_and_type(
    n: int, d: int, k: int, dtype: str, chosen: str
) -> None:
    x = np.broadcast_to(np.zeros((1, 1), dtype), (n, d))
    model = Setting("kmeans", k)
    made = prepare(array_source(rows()[:, :2]), model, Given(np.zeros((k, 2)))).model
    assert Auto().choice(made, k, array_source(x)) == chosen
    assert Auto(memo_bytes=0).choice(made, k, array_source(x)) == "batch"


@pytest.mark.usefixtures("few")
def test_it_goes_the_way_of_batch_and_skips_rows() -> None:
    source = array_source(rows(), block_bytes=64 << 10)
    found, seen = fitting(source)
    wanted = lloyd(source, 20, rows()[:20], "batch")
    assert_lloyds(found, wanted, source)
    # The first iterations are those of batch, to the last bit.
    assert repr(found.state.history[:3]) == repr(wanted.state.history[:3])
    assert 0 < len(seen) <= found.iterations - 3
    assert sum(one.scored for one in seen) < 0.7 * sum(one.rows for one in seen)


@pytest.mark.usefixtures("few")
def test_engines_lost_memory_and_resuming_change_no_bit() -> None:
    x = rows()
    source = streamed(x)
    found, seen = fitting(source)
    assert any(one.scored < one.rows for one in seen)
    same_bits(fitting(source.inner)[0], found)
    same_bits(fitting(source, engine=LocalEngine(3))[0], found)
    # Each iteration in a new process: no bounds, and no path of the centres.
    chosen: dict[str, Any] = {"schedule": "auto", "tol": 0.0}
    fit = prepare(source, Setting("kmeans", 20, fit=chosen), Given(x[:20].astype(float)))
    state = FitState(0)
    while True:
        MEMO.forget()
        try:
            state = next(iterate(replace(fit, schedule=Auto()), state))
        except StopIteration:
            break
    assert state.best is not None
    np.testing.assert_array_equal(
        state.best.params.components.means, found.state.best.params.components.means
    )
    assert repr(state.history) == repr(found.state.history)


@pytest.mark.usefixtures("few")
def test_restarts_keep_the_results_of_batch() -> None:
    x = rows()
    source = array_source(x, block_bytes=64 << 10)
    found, wanted = (
        run(
            prepare(
                source,
                Setting("kmeans", 20, fit={"schedule": s, "n_init": 3, "init": "random"}),
            )
        )
        for s in ("auto", "batch")
    )
    assert found.objective == pytest.approx(wanted.objective, rel=1e-12)
    assert found.iterations == wanted.iterations


def test_the_estimator_chooses_by_default() -> None:
    assert KMeans().schedule == "auto"
    x = rows()
    plain = KMeans(20, init=x[:20], schedule="batch").fit(x)
    # Few rows: the same bits.
    assert np.array_equal(KMeans(20, init=x[:20]).fit(x).cluster_centers_, plain.cluster_centers_)


def test_runs_of_other_models_keep_their_names() -> None:
    def identity(name: str, **fit: Any) -> dict[str, Any]:
        values = {"data": {"path": "x.zarr"}, "model": {"name": name}, "fit": fit}
        return Config.model_validate(values).identity()

    assert identity("full") == identity("full", schedule="batch")
    assert identity("kmeans") != identity("kmeans", schedule="batch")
    assert identity("kmeans")["fit"]["schedule"] == "auto"


def test_a_run_that_began_by_batch_goes_on_so(tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "x.zarr", rows())
    values: dict[str, Any] = {
        "data": {"path": str(tmp_path / "x.zarr")},
        "model": {"name": "kmeans", "n_components": 20},
        "run": {"folder": str(tmp_path / "runs")},
        "labels": {"write": False},
    }
    now, then = make_config(values), make_config({**values, "fit": {"schedule": "batch"}})
    assert as_begun(now) == now
    with open_job(then) as job:
        assert isinstance(job, FitJob)
        job.complete()
    assert as_begun(now) == then
    assert as_begun(now, "other") == now
    with open_job(now) as found:
        assert isinstance(found, dict), "the run of the earlier version was not found"
        assert found["model"]["schedule"] == "batch"


@pytest.mark.usefixtures("few")
def test_summary_and_inspect_say_what_was_chosen(tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "x.zarr", rows())
    config = make_config(
        {
            "data": {"path": str(tmp_path / "x.zarr")},
            "model": {"name": "kmeans", "n_components": 20},
            "run": {"folder": str(tmp_path / "runs"), "key": "a"},
            "labels": {"write": False},
        }
    )
    with open_job(config) as job:
        assert isinstance(job, FitJob)
        summary = job.complete()
    assert summary.to_dict()["model"]["schedule"] == "pruned (chosen)"
    assert ("schedule", "pruned (chosen)") in summary.to_page().facts
    found = inspect(Location(str(tmp_path / "runs" / "a")))
    assert found["schedule"] == "pruned (chosen)"
    assert ("schedule", "pruned (chosen)") in page_of_inspection(found).facts
