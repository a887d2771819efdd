"""The simulation of a pass: what formulas say where nobody is slow, and no work lost or made."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling import pages
from benchmarks.scaling.calibration import parameters, rows_of
from benchmarks.scaling.check import check
from benchmarks.scaling.formulas import predict
from benchmarks.scaling.quantities import MODELS, Cluster, Compute, Job, Machine, ModelShape, Times
from benchmarks.scaling.simulation import simulate
from emdist.fit.passes import EStep
from emdist.interfaces import Block

MACHINE = Machine(
    cores=2, plain=4e9, packed=8e8, stored=0.5, first=0.05, graph=1e-4, task=2e-4, leaf=5e-4,
    place=1e-8, place_bytes=17.0, add=5e9, pickle=5e9, move=1e9, latency=1e-3, checkpoint=0.01,
    seal=2e8, task_bytes=8e3, listing=1e-5,
    models={
        shape.name: Compute(shape.flops / 1e11, 1e-4, 0.01, shape.sums_bytes, shape.params_bytes)
        for shape in MODELS
    },
)  # fmt: skip
KMEANS, FULL = MODELS[0], MODELS[4]


def times_of(model: ModelShape, blocks: int, cluster: Cluster, stored: float = 0.5) -> Times:
    return Times(Job(model, blocks * 2.0**27, stored=stored), cluster, MACHINE)


@pytest.mark.covering
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("model", [KMEANS, FULL], ids=lambda m: m.family)
@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(1, 1),
        Cluster(10),
        Cluster(10, storage=1e8),
        Cluster(10, aggregate=2e8),
        Cluster(10, task=0.02),
    ],
    ids=["one core", "computing", "reading", "shared storage", "scheduler"],
)
def test_even_workers_take_what_the_formula_says(
    model: ModelShape, cluster: Cluster, keeps: bool, ahead: bool
) -> None:
    times = times_of(model, 4000, replace(cluster, keeps=keeps, ahead=ahead))
    assert simulate(times).seconds == pytest.approx(predict(times).seconds, rel=0.04)


@pytest.mark.parametrize("blocks", [1, 7, 8, 9, 65, 513])
def test_every_block_and_join_is_worked_once(blocks: int) -> None:
    times = times_of(KMEANS, blocks, Cluster(5, slowness=0.5, keeps=False))
    found = simulate(times, seed=3)
    assert (found.worked, found.joined) == (times.job.blocks, times.job.joins)
    assert found.read_bytes == pytest.approx(predict(times).read_bytes)


@pytest.mark.parametrize("seed", range(5))
def test_deaths_make_work_again_and_lose_none(seed: int) -> None:
    times = times_of(KMEANS, 3000, Cluster(10, slowness=0.2, failures=60.0, restart=1.0))
    found = simulate(times, seed)
    assert found.deaths > 0
    assert found.worked > times.job.blocks
    assert found.joined >= times.job.joins
    assert found.worked < 2 * times.job.blocks


def test_a_seed_decides_everything() -> None:
    times = times_of(FULL, 500, Cluster(10, slowness=0.3, failures=100.0))
    assert simulate(times, 1) == simulate(times, 1)
    assert simulate(times, 1) != simulate(times, 2)


def test_what_is_kept_is_not_read() -> None:
    times = times_of(KMEANS, 1000, Cluster(10, memory=4e9))
    found = predict(times)
    assert 0 < times.resident < 100
    assert simulate(times).read_bytes == pytest.approx(found.read_bytes)
    assert found.worker_bytes < times.cluster.memory


@pytest.mark.parametrize("model", [KMEANS, MODELS[2], FULL], ids=lambda m: m.name)
def test_sums_and_parameters_have_the_sizes_of_the_formulas(model: ModelShape) -> None:
    emdist_model, params, numerics = parameters(model)
    origin = np.zeros(model.d)
    sums = emdist_model.e_step(Block(0, 0, rows_of(200, model.d)), params, origin, numerics)
    assert len(pickle.dumps(sums, 5)) == pytest.approx(model.sums_bytes, rel=0.05)
    task = EStep(None, emdist_model, params, origin, numerics)  # type: ignore[arg-type]
    assert len(pickle.dumps(task, 5)) == pytest.approx(model.params_bytes, rel=0.1)


@pytest.mark.long
def test_the_check_runs() -> None:
    found = check(MACHINE, lambda _: None, megabytes=8, few=True)
    assert len(found) == 4
    assert all(one.measured > 0 and one.cpu > 0 for one in found)
    assert pages.checks(found).count("\n") == 5


def test_tables_stand_between_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- settings -->\nold\n<!-- end of settings -->\nb\n")
    pages.write_page(page, {"settings": "new"})
    assert page.read_text() == "a\n<!-- settings -->\n\nnew\n\n<!-- end of settings -->\nb\n"
    with pytest.raises(ValueError, match="found 0"):
        pages.write_page(page, {"check": "new"})


def test_constants_survive_their_file(tmp_path: Path) -> None:
    MACHINE.save(tmp_path / "machine.json")
    assert Machine.load(tmp_path / "machine.json") == MACHINE
