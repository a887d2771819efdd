"""``emdist sweep``: models side by side, each as `emdist fit` alone leaves it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

import emdist as package
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import CheckpointError
from emdist.fit.events import Event, Warned
from emdist.fit.together.lockstep import Lockstep
from emdist.interfaces import Block
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.jobs.sweep import SweepJob
from emdist.settings.config import make_config
from emdist.store.sources.zarr_source import ZarrSource
from tests.support.command_line import Command


def model(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.long
def test_each_model_is_that_of_its_own_fit(emdist: Command, data: Path, tmp_path: Path) -> None:
    answer = emdist(
        "sweep", data, "-k", "2,3..4", "-m", "diagonal", "-m", "full", "--run", "runs/s",
        "--n-init", 2, "--seed", 3,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    run = tmp_path / "runs" / "s"
    summary = json.loads((run / "summary.json").read_text())
    names = [row["name"] for row in summary["models"]]
    assert names == [f"{name}-{k}" for name in ("diagonal", "full") for k in (2, 3, 4)]
    for row in summary["models"][::2]:
        alone = f"runs/{row['name']}"
        more = ("-m", row["family"], "-k", row["n_components"], "--n-init", 2, "--seed", 3)
        assert emdist("fit", data, *more, "--run", alone, "--no-labels", "-q").code == 0
        assert model(run / "models" / row["name"]) == model(tmp_path / alone / "final")
        x = zarr.open_array(data)[:]
        for place in (run / "models" / row["name"], tmp_path / alone):
            known = package.load(place)
            assert known.bic(x) == pytest.approx(row["criteria"]["bic"], rel=1e-12)
            assert known.aic(x) == pytest.approx(row["criteria"]["aic"], rel=1e-12)
    best = min(summary["models"], key=lambda row: row["criteria"]["bic"])["name"]
    assert summary["best"] == best
    assert model(run / "final") == model(run / "models" / best)
    assert f"| {best} | 3 |" in answer.out
    assert (run / "criterion.png").read_bytes().startswith(b"\x89PNG")
    labels = np.asarray(zarr.open_group(run / "labels.zarr", mode="r")["labels"])
    np.testing.assert_array_equal(labels, package.load(run).predict(x))
    # Any of the models labels.
    assert emdist("label", run / "models" / "full-2", data, tmp_path / "two.zarr").code == 0
    assert set(np.asarray(zarr.open_group("two.zarr")["labels"]).tolist()) == {0, 1}
    again = emdist("sweep", data, "-k", "2,3..4", "-m", "diagonal", "-m", "full",
                   "--run", "runs/s", "--n-init", 2, "--seed", 3)  # fmt: skip
    assert "already complete, nothing was computed" in again.out


def test_the_figures_of_the_table_agree(emdist: Command, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(600, 2)) + np.repeat([[0], [2], [4]], 200, 0)
    data = tmp_path / "near.zarr"  # Far from converged, each iteration changes the likelihood.
    zarr.create_array(data, shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    few = ("--max-iter", 2, "--tol", 0, "--no-labels")
    answer = emdist("sweep", data, "-k", "1..3", "-m", "full", "--run", "runs/s", *few)
    assert answer.code == 0, answer.err
    n, d = x.shape
    rows = [line.split("|")[1:-1] for line in answer.out.splitlines() if "full-" in line]
    rows = [[cell.strip() for cell in row] for row in rows if len(row) > 5]
    assert [row[1] for row in rows] == ["1", "2", "3"]
    for row in rows:
        k, likelihood, bic = int(row[1]), float(row[2]), float(row[3])
        free = k - 1 + k * d + k * d * (d + 1) // 2
        assert bic == pytest.approx(-2 * n * likelihood + free * np.log(n), rel=1e-8)


def test_weights_of_another_scale_are_told(emdist: Command, data: Path, tmp_path: Path) -> None:
    rows = zarr.open_array(data).shape[0]
    areas = zarr.create_array(tmp_path / "areas.zarr", shape=(rows,), chunks=(rows,), dtype="f8")
    areas[:] = 12_000.0
    told = f"The sample weights of {rows} rows sum to {12_000 * rows:.6g}. BIC counts them as"
    sweep = ("sweep", data, "-k", "2..4", "-m", "full", "--no-labels")
    answer = emdist(*sweep, "--run", "runs/s", "--weights", tmp_path / "areas.zarr")
    assert answer.code == 0, answer.err
    assert told in " ".join(answer.err.split())
    summary = json.loads((tmp_path / "runs" / "s" / "summary.json").read_text())
    assert [one["kind"] for one in summary["doubts"]].count("weights") == 1
    assert "by their mean, 12000, unless" in (tmp_path / "runs" / "s" / "summary.md").read_text()
    areas[:] = 1.0
    answer = emdist(*sweep, "--run", "runs/t", "--weights", tmp_path / "areas.zarr")
    assert "sample weights" not in answer.err


def test_a_fit_refuses_a_sweep_and_says_how_to_start_it(emdist: Command, data: Path) -> None:
    values = {"data": {"path": str(data)}, "sweep": {"n_components": "2..3"}}
    Path("sweep.yaml").write_text(yaml.safe_dump(values))
    answer = emdist("fit", "-f", "sweep.yaml")
    assert answer.code == 2
    told = " ".join(answer.err.split())
    assert "sweep.yaml has the section sweep, which fits several models" in told
    assert "`emdist sweep -f sweep.yaml` or `emdist flow sweep sweep.yaml`" in told
    assert emdist("sweep", "-f", "sweep.yaml", "--no-labels").code == 0
    del values["sweep"]
    Path("fit.yaml").write_text(yaml.safe_dump(values))
    answer = emdist("sweep", "-f", "fit.yaml")
    assert answer.code == 2
    told = " ".join(answer.err.split())
    assert "fit.yaml does not say which numbers of components to compare" in told
    assert "pass -k 2..12 to `emdist sweep`" in told
    assert emdist("sweep", "-f", "fit.yaml", "-k", "2..3", "--no-labels").code == 0


def test_it_tells_what_happens_as_json(emdist: Command, data: Path) -> None:
    answer = emdist("sweep", data, "-k", "2..4", "--run", "runs/s", "--no-labels", "--json")
    assert answer.code == 0, answer.err
    iterated = [line for line in answer.lines if line["event"] == "iterated"]
    assert {line["fit"] for line in iterated} == {"kmeans-2", "kmeans-3", "kmeans-4"}
    result = answer.lines[-1]
    assert result["criterion"] == "icl"
    assert result["best"] == "kmeans-3"
    assert result["labels"] is None
    seen = json.loads(emdist("inspect", "runs/s", "--json").out)
    assert seen["kind"] == "sweep"
    assert seen["done"]
    assert seen["result"]["components"] == 3
    assert set(seen["progress"]) == {"kmeans-2", "kmeans-3", "kmeans-4"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-k", "0,2"], "expected at least 1"),
        (["-k", "5..2"], "is not a range"),
        (["-k", "two"], "two"),
        (["-k", "2,2,3"], "kmeans-2 more than once"),
        (["-k", "2,3", "--criterion", "elbow"], "at least 3 numbers of components"),
        (["-k", "2..4", "--criterion", "bic"], "Use icl or calinski_harabasz"),
        (["-k", "2..4", "-m", "full", "-m", "kmeans", "--criterion", "icl"],
         "Run one sweep for each kind"),
        (["-k", "2..4", "-m", "kcentroids", "--set", "model.dissimilarity=cosine"],
         "set sweep.criterion to 'elbow' or 'silhouette'"),
        (["-k", "2..4", "--criterion", "bci"], "did you mean 'bic'"),
        (["-k", "2..4", "-m", "full", "-m", "kmeans"], "Only a heuristic can compare"),
        (["-k", "2..4", "-m", "ful", "-m", "tied"], "did you mean 'full'"),
        (["-k", "2..4", "-m", "kmeans", "-m", "kmedians"], "Run one sweep for each kind"),
        (["-k", "2,3,400"], "400 components for 300 rows"),
        (["-k", "2..4", "--set", "sweep.sums_memory=lots"], "'lots' is not a size"),
        (["-k", "2..4", "--set", "fit.start=x.npz"], "several models"),
        (["-k", "2..4", "--set", "fit.schedule=sparse"], "hard assignment"),
        (["-k", "2..4", "-m", "full", "--set", "model.assignment=hard", "--criterion", "icl"],
         "has none"),
        (["-k", "1..2000"], "is not a range"),
        ([], "numbers of components"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_written(
    emdist: Command, data: Path, tmp_path: Path, arguments: list[str], text: str
) -> None:
    answer = emdist("sweep", data, *arguments, "--run", "runs/s")
    assert answer.code == 2
    assert text in answer.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_a_sweep_cut_anywhere_goes_on_with_the_same_bits(
    emdist: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "data": {"path": str(data), "block_size": "800 B"},
        "model": {"name": "full"},
        "fit": {"tol": 0.0, "max_iter": 7, "n_init": 2},
        "run": {"folder": str(tmp_path / "runs"), "key": "plain", "checkpoint_iterations": 1},
        "sweep": {"n_components": "2..4", "families": ["full", "spherical"], "criterion": "icl"},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(values))
    assert emdist("sweep", "-f", "s.yaml", "-q").code == 0
    passes = 0
    serve = Lockstep._serve

    def cut(self: Lockstep[object], asked: list[object]) -> None:
        nonlocal passes
        outer = threading.current_thread() is threading.main_thread()
        passes += outer  # not those of the starts of one model
        if outer and passes % 3 == 0:
            raise KeyboardInterrupt
        serve(self, asked)

    monkeypatch.setattr(Lockstep, "_serve", cut)
    codes = []
    while 0 not in codes:
        codes.append(emdist("sweep", "-f", "s.yaml", "--set", "run.key=cut", "-q").code)
        assert set(codes) <= {0, 130}
        assert len(codes) < 20
    assert len(codes) > 3
    names = sorted(path.name for path in (tmp_path / "runs/plain/models").iterdir())
    assert len(names) == 6
    for name in names:
        one, other = (tmp_path / "runs" / key / "models" / name for key in ("plain", "cut"))
        assert model(one) == model(other)


def test_a_checkpoint_of_another_sweep_is_refused(data: Path, tmp_path: Path) -> None:
    values = {
        "data": {"path": str(data)},
        "run": {"folder": str(tmp_path / "runs"), "key": "s"},
        "sweep": {"n_components": [2, 3, 4]},
    }
    with open_job(make_sweep_config(values)) as job:
        assert isinstance(job, SweepJob)
        job.segment()
        job.run._plans = job.run.plans[:2]
        job.run._state = None
        with pytest.raises(CheckpointError, match="sweep of 2 models"):
            job.run.state()


def test_a_sweep_warns_of_missing_values_as_a_fit_does(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    x[3, 1] = x[7, 0] = np.nan
    zarr.create_array(tmp_path / "gaps.zarr", data=x, chunks=(20, 2))
    common = {
        "data": {"path": str(tmp_path / "gaps.zarr"), "non_finite": "missing"},
        "model": {"name": "diagonal", "n_components": 2},
    }
    told: dict[str, list[str]] = {}
    for key, config in (
        ("one", make_config(common | {"run": {"folder": str(tmp_path), "key": "one"}})),
        (
            "many",
            make_sweep_config(
                common
                | {"sweep": {"n_components": [2, 3]}, "run": {"folder": str(tmp_path), "key": "m"}}
            ),
        ),
    ):
        events: list[Event] = []
        with open_job(config, listen=events.append) as job:
            assert isinstance(job, Job)
            job.survey()
        told[key] = [event.message for event in events if isinstance(event, Warned)]
    assert told["one"] == ["2 of 120 values are NaN, which counts as missing at random."]
    assert told["many"] == told["one"]


def test_blocks_of_a_sweep_stay_in_the_memory_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(400, 3))
    zarr.create_array(tmp_path / "packed.zarr", data=x, chunks=(50, 3))
    reads: list[int] = []
    own = ZarrSource._read

    def read(self: ZarrSource, i: int) -> Block:
        reads.append(i)
        return own(self, i)

    monkeypatch.setattr(ZarrSource, "_read", read)
    bits, count = [], []
    for key, cluster in (("kept", {"memory": "1 GiB"}), ("not", {"cache": "off"})):
        reads.clear()
        config = make_sweep_config(
            {
                "data": {"path": str(tmp_path / "packed.zarr"), "block_size": "1200 B"},
                "fit": {"max_iter": 5, "tol": 0},
                "cluster": {"threads": 1, **cluster},
                "sweep": {"n_components": [2, 3]},
                "labels": {"write": False},
                "run": {"folder": str(tmp_path), "key": key},
            }
        )
        with open_job(config) as job:
            assert isinstance(job, SweepJob)
            job.complete()
        bits.append([model(tmp_path / key / "models" / f"kmeans-{k}") for k in (2, 3)])
        count.append(len(reads))
    assert count[0] == 8, "each block once"
    assert count[1] > 40
    assert bits[0] == bits[1]
