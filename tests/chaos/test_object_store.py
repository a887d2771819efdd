"""Input, checkpoints and labels on an S3 server whose requests fail: the bits of a quiet run."""

from __future__ import annotations

import collections
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.errors import ConfigError, EmdistError, NotFoundError, RunFencedError, StorageError
from emdist.fit.events import Event, Iterated, Saved
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, open_object_store, open_zarr_store
from emdist.store.runs.run_folder import RunFolder
from emdist.store.sources.zarr_source import reference, zarr_source
from tests.support.faulty_s3 import FAULTS, S3, Plan, serving
from tests.support.killable_jobs import PATIENCE, fitting

SECRETS = ("an-example-secret-that-nobody-may-see", "AKIAEXAMPLEKEYID")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel("ERROR")
    with serving() as server:
        rng = np.random.default_rng(0)
        x = (rng.normal(size=(1600, 3)) + 3 * rng.integers(0, 3, (1600, 1))).astype("float32")
        place = Location(server.url("x.zarr"), server.options())
        array = zarr.create_array(
            open_zarr_store(place, read_only=False), shape=x.shape, chunks=(200, 3), dtype="f4"
        )
        array[:] = x
        yield server


@pytest.fixture(autouse=True)
def _quiet(s3: S3) -> Iterator[None]:
    s3.plan = Plan()
    yield
    s3.plan = Plan()


def config(s3: S3, key: str, **more: str) -> dict[str, Any]:
    options = s3.options(**more)
    return {
        "data": {"path": s3.url("x.zarr"), "storage_options": options, "block_size": "4800 B"},
        "model": {"name": "full", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 4, "tol": 1e-12},
        "cluster": {"kind": "threads", "threads": 2},
        "run": {
            "folder": s3.url("runs"), "key": key, "checkpoint_iterations": 1,
            "storage_options": options,
        },
        "labels": {"path": s3.url(f"labels/{key}"), "storage_options": options},
    }  # fmt: skip


def complete(values: dict[str, Any], listen: Any = lambda event: None) -> None:
    with open_job(make_config(values), listen=listen) as job:
        if isinstance(job, Job):
            job.complete()


def result(s3: S3, key: str) -> dict[str, bytes]:
    """The model and all labels, read in quiet."""
    s3.plan = Plan()
    found = {"model": folder(s3, f"runs/{key}/final").read("model.safetensors")}
    labels = folder(s3, f"labels/{key}")
    return found | {name: labels.read(name) for name in labels.list() if "/c/" in name}


def folder(s3: S3, name: str) -> Any:
    return open_folder(Location(s3.url(name), s3.options()))


@pytest.fixture(scope="module")
def wanted(s3: S3) -> dict[str, bytes]:
    complete(config(s3, "wanted"))
    return result(s3, "wanted")


# --- a run -----------------------------------------------------------------------------------


def run_among_faults(s3: S3, key: str, plan: Plan, starts: int = 3) -> int:
    """Start the job until it ends, at most so many times; how often it was started."""
    s3.plan = plan
    for start in range(1, starts + 1):
        try:
            complete(config(s3, key))
            return start
        except StorageError as error:
            told(error)
    raise AssertionError(f"{key} did not end")


def told(error: EmdistError) -> None:
    """What a user is told has no dump and no secret in it."""
    text = str(error)
    assert "\n" not in text
    assert "Debug source" not in text
    assert not any(secret in text for secret in SECRETS)


@pytest.mark.long
def test_a_run_among_faults_of_all_kinds_ends_in_the_same_bits(
    s3: S3, wanted: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan(seed=1, share=0.2)
    # Those that wait for the client's timeout are tried one by one below.
    plan.kinds = tuple(kind for kind in FAULTS if kind != "timeout")
    with caplog.at_level(logging.DEBUG):
        starts = run_among_faults(s3, "faults", plan)
    print("faults injected:", dict(plan.injected), "of", plan.requests, "starts", starts)
    assert starts == 1  # every one of them can be waited out
    assert plan.injected.total() > 25
    assert result(s3, "faults") == wanted
    assert not any(secret in caplog.text for secret in SECRETS)


@pytest.mark.parametrize("kind", FAULTS)
def test_each_request_outlives_each_fault(s3: S3, kind: str) -> None:
    options = s3.options(timeout="300ms") if kind == "timeout" else s3.options()
    place = open_folder(Location(s3.url(f"each/{kind.replace(' ', '-')}"), options))
    place.write("known", b"x" * 1000)

    def faulty() -> None:
        s3.plan = Plan(1, 1.0, (kind,), repeats=1)

    faulty()
    assert place.read("known") == b"x" * 1000
    faulty()
    with pytest.raises(NotFoundError):
        place.read("unknown")
    faulty()
    place.write("new", b"y")
    faulty()
    assert place.list() == ["known", "new"]
    assert not place.is_empty()
    faulty()
    assert place.exists("new")
    faulty()
    place.publish("folder", {"data": b"1", "commit": b"2"}, lambda: None)
    faulty()
    place.delete("folder")
    s3.plan = Plan()
    assert place.list() == ["known", "new"]
    assert place.read("new") == b"y"


def test_what_never_ends_is_a_clear_error(s3: S3) -> None:
    values = config(s3, "dead", max_retries="2", retry_timeout="5")
    for kind in ("500", "503", "dropped", "cut"):
        s3.plan = Plan(1, 1.0, (kind,), repeats=1 << 30)
        with pytest.raises((StorageError, EmdistError)) as caught:
            complete(values)
        told(caught.value)
        assert isinstance(caught.value, StorageError)
        assert caught.value.exit_code == 5


@pytest.mark.long
def test_a_run_that_the_store_left_in_the_middle_resumes(s3: S3, wanted: dict[str, bytes]) -> None:
    values = config(s3, "away", max_retries="1", retry_timeout="2")
    gone = Plan(1, 1.0, ("503",), repeats=1 << 30)

    def leave(event: Event) -> None:
        if isinstance(event, Iterated) and event.record.iteration == 2:
            s3.plan = gone

    with pytest.raises(StorageError):
        complete(values, leave)
    assert gone.injected.total() > 0
    s3.plan = Plan()
    complete(values)
    assert result(s3, "away") == wanted


def test_retry_options_are_checked_and_used(s3: S3) -> None:
    for key, value in (("max_retries", "many"), ("retry_timeout", "-1"), ("max_backoff", "nan")):
        with pytest.raises(ConfigError, match=key):
            open_folder(Location(s3.url("o"), s3.options(**{key: value}))).list()
    s3.plan = plan = Plan(1, 1.0, ("500",), repeats=1 << 30)
    with pytest.raises(StorageError):
        open_folder(Location(s3.url("o"), s3.options(max_retries="3"))).read("x")
    # Only this object: reads of an earlier test may still be trying again in the background.
    assert plan.asked["GET /bucket/o/x"] == 4


def test_an_open_store_of_obstore_is_as_patient_as_a_url(s3: S3) -> None:
    import obstore.store
    from zarr.storage import ObjectStore

    bucket = open_object_store(Location(s3.url("opened"), s3.options()))
    assert isinstance(bucket, obstore.store.S3Store)
    x = np.random.default_rng(0).normal(size=(60, 3))
    zarr.create_array(ObjectStore(bucket), name="x", data=x, chunks=(10, 3))
    array = zarr.open_array(ObjectStore(bucket, read_only=True), path="x", mode="r")
    source = zarr_source(reference(array), block_bytes=480)
    ref = source.ref
    assert "an-example-secret" not in f"{ref!r} {ref}"
    before = source.stamps()
    s3.plan = Plan(7, 0.5)
    found = np.concatenate([source.read(i).x for i in range(len(source))])
    assert found.tobytes() == x.tobytes()
    assert source.stamps() == before
    s3.plan = Plan()
    zarr.open_array(ObjectStore(bucket), path="x")[10:20] = 1.0
    assert source.stamps() != before


# --- two that believe they own the run -------------------------------------------------------


@pytest.mark.long
def test_a_zombie_whose_commit_comes_late_never_wins(s3: S3, wanted: dict[str, bytes]) -> None:
    """The successor takes over between the zombie's last look and its conditional put."""
    runs = RunFolder(Location(s3.url("runs/zombie"), s3.options()))
    values = config(s3, "zombie")
    late: list[str] = []

    def take_over(method: str, path: str) -> str | None:
        if method == "PUT" and "/ckpt/00000003-1-" in path and "manifest" in path and not late:
            late.append(path)
            epoch = runs.claim()
            saved = runs.load("ckpt")
            assert saved is not None
            # The successor begins again one checkpoint before.
            runs.save("ckpt", 1, saved.arrays, {"whose": "successor"}, epoch)
        return None

    s3.plan = Plan(intercept=take_over)
    with pytest.raises(RunFencedError, match="taken over"):
        complete(values)
    s3.plan = Plan()
    assert late
    assert any("00000003-1-" in name and "manifest" in name for name in runs.folder.list("ckpt"))
    saved = runs.load("ckpt")
    assert saved is not None
    assert (saved.sequence, saved.epoch, saved.meta) == (1, 2, {"whose": "successor"})
    # Nor does it survive the successor's retention.
    runs.retain("ckpt", last=1, epoch=2)
    assert [name.split("/")[1][:11] for name in runs.folder.list("ckpt")] == ["00000001-2-"] * 2


@pytest.mark.long
def test_two_drivers_one_is_fenced_and_the_bits_are_the_same(
    s3: S3, wanted: dict[str, bytes]
) -> None:
    values = config(s3, "two")
    codes = collections.Counter[str]()

    def second(event: Event) -> None:
        if isinstance(event, Saved) and not codes:
            codes["second"] += 1
            complete(values)

    s3.plan = Plan(seed=3, share=0.1, kinds=("500", "dropped lost", "cut"))
    with pytest.raises(RunFencedError):
        complete(values, second)
    assert result(s3, "two") == wanted


LOCAL = {"kind": "local", "n_workers": 2, "threads_per_worker": 1}
#: What drivers run on: threads in the gate, a cluster of their own in the long variant.
DRIVERS = [
    pytest.param({"kind": "threads", "threads": 1}, id="threads"),
    pytest.param(LOCAL, id="dask", marks=pytest.mark.slow),
]


@pytest.mark.long
def test_a_run_on_dask_among_faults_ends_in_the_same_bits(s3: S3, wanted: dict[str, bytes]) -> None:
    """Workers in processes of their own read the input and write the labels through the faults."""
    plan = s3.plan = Plan(seed=5, share=0.2)
    plan.kinds = tuple(kind for kind in FAULTS if kind != "timeout")
    complete(config(s3, "dask") | {"cluster": LOCAL})
    print("faults injected:", dict(plan.injected), "of", plan.requests)
    assert plan.injected.total() > 25
    assert result(s3, "dask") == wanted


def check_successor(s3: S3, key: str, wanted: dict[str, bytes], epoch: int = 2) -> None:
    """The run is whole, its newest checkpoint that of `epoch`, and a third start finds it done."""
    assert result(s3, key) == wanted
    saved = RunFolder(Location(s3.url(f"runs/{key}"), s3.options())).load("ckpt")
    assert saved is not None
    assert saved.epoch == epoch
    with open_job(make_config(config(s3, key))) as job:
        assert isinstance(job, dict)


@pytest.mark.long
@pytest.mark.parametrize("cluster", DRIVERS)
def test_a_driver_whose_commit_is_held_back_is_too_late_for_another_process(
    cluster: dict[str, Any], s3: S3, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    """Its conditional put is on the way while another process takes the run over and ends it."""
    key = f"held-{cluster['kind']}"
    # No timeout ends the put before it is released.
    values = config(s3, key, timeout=f"{PATIENCE:.0f}s") | {"cluster": cluster}
    on_its_way, released, late = threading.Event(), threading.Event(), list[str]()

    def hold(method: str, path: str) -> str | None:
        if method == "PUT" and "/ckpt/00000003-1-" in path and "manifest" in path:
            late.append(path)
            on_its_way.set()
            released.wait(PATIENCE)
        return None

    s3.plan = Plan(intercept=hold)
    try:
        with fitting(values, tmp_path) as first:
            assert on_its_way.wait(PATIENCE), first.errors
            with fitting(values, tmp_path) as second:
                assert second.end() == 0, second.errors
            released.set()
            assert first.end() == RunFencedError.exit_code, first.errors
            assert "taken over" in str(first.events[-1])
    finally:
        released.set()
    assert len(late) == 1
    check_successor(s3, key, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [p.values[0] for p in DRIVERS])
@pytest.mark.parametrize("moment", ["iterated", "label"])
def test_a_driver_that_was_frozen_finds_the_run_taken_over_by_another_process(
    moment: str, cluster: dict[str, Any], s3: S3, wanted: dict[str, bytes], tmp_path: Path
) -> None:
    key = f"frozen-{moment}-{cluster['kind']}"
    values = config(s3, key) | {"cluster": cluster}
    with fitting(values, tmp_path) as first:
        if moment == "iterated":
            first.reach("iterated", 2)
        else:
            while first.reach("began")["stage"] != "label":
                pass
        first.process.send_signal(signal.SIGSTOP)
        with fitting(values, tmp_path) as second:
            assert second.end() == 0, second.errors
        first.process.send_signal(signal.SIGCONT)
        # One that was about to end may have ended; its labels are the same.
        code = first.end()
        assert code == RunFencedError.exit_code or (code, moment) == (0, "label"), first.errors
    # In the label pass there is nothing left to checkpoint.
    check_successor(s3, key, wanted, 1 if moment == "label" else 2)


def test_a_claim_whose_answer_was_lost_is_made_again(s3: S3) -> None:
    runs = RunFolder(Location(s3.url("claims"), s3.options(timeout="300ms")))
    s3.plan = Plan(1, 1.0, ("500 lost",), repeats=1)
    first = runs.claim()
    s3.plan = Plan(1, 1.0, ("timeout",), repeats=1)
    second = runs.claim()
    s3.plan = Plan()
    assert (first, second) == (1, 2)  # each found itself
    runs.check_owner(second)
    with pytest.raises(RunFencedError):
        runs.check_owner(first)


# --- the data --------------------------------------------------------------------------------


def test_an_object_that_changes_is_seen_by_its_etag(s3: S3) -> None:
    place = Location(s3.url("changing.zarr"), s3.options())
    store = open_zarr_store(place, read_only=False)
    array = zarr.create_array(store, shape=(4000, 2), chunks=(100, 2), dtype="f4", compressors=None)
    array[:] = np.arange(8000, dtype="f4").reshape(4000, 2)
    source = zarr_source(reference(place), None, 800)
    before = source.stamps()
    folder(s3, "changing.zarr").write("c/1/0", bytes(800))  # same size, and no sampled object
    after = zarr_source(reference(place), None, 800).stamps()
    assert after["sizes"] == before["sizes"]
    assert after["times"] != before["times"]


# --- long ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_runs_among_random_faults(s3: S3, wanted: dict[str, bytes], tmp_path: Path) -> None:
    seed = int(os.environ.get("EMDIST_CHAOS_SEED", "0"))
    rounds = int(os.environ.get("EMDIST_CHAOS_ROUNDS", "6"))
    injected: collections.Counter[str] = collections.Counter()
    began = time.monotonic()
    for i in range(rounds):
        rng = np.random.default_rng([seed, i])
        plan = Plan(int(rng.integers(1 << 30)), float(rng.uniform(0.05, 0.4)))
        plan.repeats = int(rng.integers(1, 5))
        starts = run_among_faults(s3, f"long-{seed}-{i}", plan, starts=20)
        injected += plan.injected
        injected["starts"] += starts
        assert result(s3, f"long-{seed}-{i}") == wanted, (seed, i)
    print(f"seed {seed}: {rounds} runs in {time.monotonic() - began:.0f} s, {dict(injected)}")
