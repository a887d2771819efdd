"""Laws of the engines: the bits of the plain loop, and a plain word when something breaks."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from emdist.engines.blas import one_thread
from emdist.engines.clusters.address import Address
from emdist.engines.clusters.by_class import ByClass
from emdist.engines.clusters.local import Local
from emdist.engines.clusters.scratch import scratch
from emdist.engines.dask import faults, packages
from emdist.engines.dask.array import MIB, DaskArraySource, dask_source, plan
from emdist.engines.dask.engine import DaskEngine
from emdist.engines.dask.faults import answering, ask, roster
from emdist.engines.dask.graph import LEVELS, JoinShape, join
from emdist.engines.dask.packages import check_workers
from emdist.engines.dask.persisted import check_client
from emdist.engines.dask.placement import choose, place
from emdist.engines.dask.trust import Blamed
from emdist.engines.loop import Loop
from emdist.engines.threads import LocalEngine
from emdist.errors import (
    ConfigError,
    CorruptChunkError,
    DtypeError,
    NonFiniteError,
    SchedulerError,
    ShapeError,
    WorkerPackageError,
    WorkersError,
)
from emdist.runtime.arithmetic import computes
from emdist.sums import Sums, Tree, tree_sum
from tests.support.paths import ROOT, environment

COUNTS = (1, 2, 7, 8, 9, 64, 65, 200)
#: Scheduler file, scheduler, and what starts a worker after running some code.
Outside: TypeAlias = tuple[Path, subprocess.Popen[bytes], Callable[..., Any]]


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition, never for a time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return value


# ---- tasks: importable by workers only through cloudpickle, by value


def noise(i: int, n: int = 5) -> np.ndarray:
    """Terms of such different size that any other order of adding gives other bits."""
    rng = np.random.default_rng(i)
    return rng.standard_normal(n) * 10.0 ** rng.integers(-8, 9, n)


@dataclass(frozen=True)
class Noise:
    def __call__(self, i: int) -> Sums:
        return Sums({"x": noise(i)})


@dataclass(frozen=True)
class Twice:
    def __call__(self, i: int) -> Sums:
        Noise()(i)
        return Noise()(i)


@dataclass(frozen=True)
class Fails:
    error: Exception
    at: int = 5

    def __call__(self, i: int) -> Sums:
        if i == self.at:
            raise self.error
        return Noise()(i)


@dataclass(frozen=True)
class Signals:
    """Sends `number` to its own process the first `times` times it meets block `at`."""

    folder: str
    number: int
    at: int = 11
    times: int = 1

    def __call__(self, i: int) -> Sums:
        if i == self.at:
            for k in range(self.times):
                with contextlib.suppress(FileExistsError):
                    # Atomic: the first to make the file is the one to suffer.
                    with open(f"{self.folder}/{k}", "x") as file:  # noqa: PTH123
                        file.write(str(os.getpid()))
                    os.kill(os.getpid(), self.number)
                    break
        return Noise()(i)


@dataclass(frozen=True)
class Waits:
    """Block `at` says that it has begun, and waits for a file."""

    folder: str
    at: int = 3

    def __call__(self, i: int) -> Sums:
        if i == self.at:
            Path(self.folder, "begun").touch()
            while not Path(self.folder, "go").exists():
                time.sleep(0.01)
        return Noise()(i)


@dataclass(frozen=True)
class Column:
    source: DaskArraySource

    def __call__(self, i: int) -> Sums:
        return Sums({"x": self.source.read(i).x.astype(np.float64).sum(axis=0)})


def expected(blocks: Iterable[int]) -> Sums:
    return Loop().map_reduce(Noise(), blocks)


# ---- clusters


@pytest.fixture(scope="module")
def processes() -> Iterator[Client]:
    """Two worker processes."""
    # Dask calls a worker that has just died for 30 s before it makes its results again.
    quick = dask.config.set({"distributed.comm.timeouts.connect": "2s"})
    with quick, Local(n_workers=2).open() as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture(scope="module", params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[Client]:
    """One or three workers in this process."""
    with Local(n_workers=request.param, processes=False).open() as client:
        yield client


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    """A scheduler and a worker as processes of their own: (scheduler file, processes, start)."""
    file = tmp_path / "scheduler.json"
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_TEMPORARY_DIRECTORY": str(tmp_path),
    }
    started = []

    def start(*code: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, *code], env=env, cwd=tmp_path, **quiet)
        started.append(process)
        return process

    def worker(prelude: str = "pass") -> subprocess.Popen[bytes]:
        options = ["--scheduler-file", str(file), "--no-nanny", "--no-dashboard", "--nthreads=1"]
        code = f"import sys; {prelude}; from distributed.cli.dask_worker import main; main()"
        return start("-c", code, *options)

    scheduler = start(
        "-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=0",
        "--no-dashboard", "--scheduler-file", str(file),
    )  # fmt: skip
    yield file, scheduler, worker
    for process in started:
        process.kill()
        process.wait()


def empty(client: Client) -> bool:
    """The scheduler knows no task of ours any more."""
    return not client.cluster.scheduler.tasks


# ---- the tree


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_bits(n: int, random: Random) -> None:
    order = list(range(n))
    random.shuffle(order)
    tree = Tree(n)
    for i in order:
        tree.add(i, Noise()(i))
    assert tree.result().equals(expected(range(n)))


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700))
def test_joins_of_eight_are_subtrees(n: int) -> None:
    shape = JoinShape(n)
    nodes = {(0, i): Sums({"x": noise(i, 1)}) for i in range(n)}
    for depth in range(1, shape.top + 1):
        for i in range(shape.widths[depth]):
            below = shape.children((depth, i))
            nodes[depth, i] = join(*(nodes.pop(child) for child in below))
    tree = Tree(len(nodes), shape.top * LEVELS)
    for (_, i), value in nodes.items():
        tree.add(i, value)
    assert len(nodes) <= 8
    assert tree.result().equals(tree_sum([Sums({"x": noise(i, 1)}) for i in range(n)]))
    low = [(shape.low, i) for i in range(shape.widths[shape.low])]
    assert sum(map(shape.size, low)) == n


# ---- the same bits everywhere


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("n", COUNTS)
def test_local_bits(n: int, n_threads: int) -> None:
    blocks = range(3, 3 + n)
    seen = []
    got = LocalEngine(n_threads).map_reduce(Noise(), blocks, seen.append)
    assert got.equals(expected(blocks))
    assert seen == sorted(seen)
    assert seen[-1] == n


@pytest.mark.parametrize("n", COUNTS)
def test_dask_bits_in_process(threads: Client, n: int) -> None:
    blocks = [3 * i for i in range(n)]
    assert DaskEngine(threads).map_reduce(Noise(), blocks).equals(expected(blocks))


@pytest.mark.long
@pytest.mark.parametrize(
    "n", [COUNTS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in COUNTS[1:-1]), COUNTS[-1]]
)
def test_dask_bits_across_processes(processes: Client, n: int) -> None:
    seen, callers = [], set()

    def done(count: int) -> None:
        seen.append(count)
        callers.add(threading.get_ident())

    assert DaskEngine(processes).map_reduce(Noise(), range(n), done).equals(expected(range(n)))
    assert seen == sorted(seen)
    assert seen[-1] == n
    assert callers == {threading.get_ident()}
    until(lambda: empty(processes))


@pytest.mark.parametrize("kind", ["local", "dask"])
def test_a_task_run_twice_equals_once(processes: Client, kind: str) -> None:
    engine = LocalEngine(2) if kind == "local" else DaskEngine(processes)
    assert engine.map_reduce(Twice(), range(20)).equals(expected(range(20)))


def test_equal_passes_of_one_run_are_computed_anew(processes: Client) -> None:
    for task in (Noise(), Fails(ValueError("now it fails"))):
        engine = DaskEngine(processes, run="same", retries=0)
        if isinstance(task, Noise):
            assert engine.map_reduce(task, range(9)).equals(expected(range(9)))
        else:
            with pytest.raises(ValueError, match="now it fails"):
                engine.map_reduce(task, range(9))


# ---- errors


@pytest.mark.parametrize("kind", ["local", "inline", "dask"])
@pytest.mark.parametrize("error", [NonFiniteError("block 5, row 17: NaN"), KeyError("k")])
def test_errors_reach_the_caller_as_they_are(
    processes: Client, kind: str, error: Exception
) -> None:
    engines = {"local": LocalEngine(3), "inline": LocalEngine(1), "dask": DaskEngine(processes)}
    with pytest.raises(type(error)) as caught:
        engines[kind].map_reduce(Fails(error), range(40))
    assert str(caught.value) == str(error)
    until(lambda: empty(processes))


@pytest.mark.parametrize("kind", ["local", "dask"])
def test_an_interrupt_leaves_nothing_behind(processes: Client, kind: str) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    engine = LocalEngine(2) if kind == "local" else DaskEngine(processes)
    with pytest.raises(KeyboardInterrupt):
        engine.map_reduce(Noise(), range(200), interrupt)
    until(lambda: empty(processes))


def test_no_blocks_and_bad_settings_are_refused(processes: Client) -> None:
    for engine in (LocalEngine(), DaskEngine(processes)):
        with pytest.raises(ValueError, match="at least one block"):
            engine.map_reduce(Noise(), [])
    with pytest.raises(ConfigError):
        LocalEngine(0)
    with pytest.raises(ConfigError):
        DaskEngine(processes, stall_timeout=0)


# ---- workers that die, stop or hang


def test_a_killed_worker_changes_no_bit(processes: Client, tmp_path: Path) -> None:
    task = Signals(str(tmp_path), signal.SIGKILL)
    assert DaskEngine(processes).map_reduce(task, range(65)).equals(expected(range(65)))
    assert (tmp_path / "0").exists()


@pytest.mark.long
def test_workers_that_die_again_and_again(processes: Client, tmp_path: Path) -> None:
    until(lambda: len(processes.nthreads()) == 2)
    scheduler = processes.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        with pytest.raises(WorkersError, match="memory"):
            DaskEngine(processes).map_reduce(Signals(str(tmp_path), signal.SIGKILL), range(20))
    finally:
        scheduler.allowed_failures = allowed


@pytest.mark.long
def test_a_stopped_worker_is_worked_around(processes: Client, tmp_path: Path) -> None:
    until(lambda: len(processes.nthreads()) == 2)
    engine = DaskEngine(processes, stall_timeout=8.0)
    try:
        got = engine.map_reduce(Signals(str(tmp_path), signal.SIGSTOP), range(65))
        assert len(engine._avoid) == 1
        again = engine.map_reduce(Noise(), range(65))  # the worker is stopped still
    finally:
        os.kill(int((tmp_path / "0").read_text()), signal.SIGKILL)
    assert got.equals(expected(range(65)))
    assert again.equals(expected(range(65)))


@pytest.mark.long
def test_a_late_worker_is_waited_for_and_asked(processes: Client) -> None:
    until(lambda: len(processes.run(os.getpid, on_error="ignore")) == 2)
    (suspect, pid), _ = sorted(processes.run(os.getpid).items())
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: suspect in roster(processes)[1])
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(answering, processes)
            os.kill(pid, signal.SIGCONT)
            workers, silent = asked.result(timeout=60)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert suspect in workers
    assert silent == []


@pytest.mark.long
def test_a_worker_that_stood_still_is_tried_again(
    processes: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "LATE", 2.0)
    # A worker that an earlier test killed may be on its way still.
    until(lambda: len(processes.run(os.getpid, on_error="ignore")) == 2)
    engine = DaskEngine(processes)
    (suspect, pid), _ = sorted(processes.run(os.getpid).items())
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: suspect in roster(processes)[1])
        engine._avoid.blame([suspect], 0.0)
        assert engine.map_reduce(Noise(), range(9)).equals(expected(range(9)))
        assert set(engine._avoid) == {suspect}, "it is silent still"
        check_workers(processes)  # which does not ask it
        assert answering(processes)[1] == [suspect]
    finally:
        os.kill(pid, signal.SIGCONT)
    _beats(processes, suspect, 2)
    assert engine.map_reduce(Noise(), range(9)).equals(expected(range(9)))
    assert len(engine._avoid) == 0
    engine._avoid.blame([suspect], 2.0)
    assert engine._avoid.forgive(processes) == set(), "the second time it must wait for longer"
    assert engine._avoid._blames[suspect].until > time.monotonic() + 6


def test_a_worker_with_a_hung_block_stays_avoided(threads: Client, tmp_path: Path) -> None:
    avoid, hung = Blamed(), next(iter(threads.nthreads()))
    task = Waits(str(tmp_path))
    future = threads.submit(task, 3, workers=[hung], pure=False)
    try:
        until((tmp_path / "begun").exists)
        future.cancel()
        avoid.blame([hung], 0.0)
        # The heart of its worker beats on, and says that a thread is held.
        assert not any(avoid.forgive(threads) for _ in until(lambda: _beats(threads, hung, 3)))
        assert set(avoid) == {hung}
    finally:
        (tmp_path / "go").touch()
    until(lambda: avoid.forgive(threads) == {hung})


def _beats(client: Client, worker: str, times: int) -> list[float]:
    """The times of that many different heartbeats."""
    seen: list[float] = []
    while len(seen) < times:
        told = ask(client, "identity", n_workers=-1)["workers"][worker]["last_seen"]
        if told not in seen:
            seen.append(told)
        time.sleep(0.01)
    return seen


@dataclass(frozen=True)
class Refuses:
    """Counts how often block 5 is done, and refuses it."""

    folder: str
    error: Exception

    def __call__(self, i: int) -> Sums:
        if i == 5:
            with open(f"{self.folder}/{time.time_ns()}", "x"):  # noqa: PTH123
                raise self.error
        return Noise()(i)


@pytest.mark.covering
@pytest.mark.parametrize("n", [7, 40])
@pytest.mark.parametrize(
    ("error", "reads"),
    [(NonFiniteError("row 17: NaN"), 1), (CorruptChunkError("c/5"), 3), (OSError("gone"), 3)],
    ids=["data", "chunk", "store"],
)
def test_only_errors_that_may_pass_are_repeated(
    threads: Client, tmp_path: Path, error: Exception, reads: int, n: int
) -> None:
    with pytest.raises(type(error), match=str(error)):
        DaskEngine(threads).map_reduce(Refuses(str(tmp_path), error), range(n))
    assert len(list(tmp_path.iterdir())) == reads


def test_what_a_killed_driver_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "from emdist.engines.clusters.scratch import scratch; import os, pathlib, sys, time\n"
        "with scratch() as folder:\n"
        "    pathlib.Path(folder, 'spilled').write_text('x'); print(folder, flush=True)\n"
        "    time.sleep(600)"
    )
    env = environment(TMPDIR=str(tmp_path))
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        dead, alive = (Path(p.stdout.readline().strip()) for p in processes if p.stdout)
        (tmp_path / "emdist-dask-unlocked").mkdir()
        processes[0].kill()
        processes[0].wait()
        with scratch() as folder:
            left = {path.name for path in tmp_path.iterdir()}
        assert left == {alive.name, "emdist-dask-unlocked", Path(folder).name}
        assert (alive / "spilled").exists()
        assert not dead.exists()
        assert not Path(folder).exists()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_block_that_hangs_everywhere(threads: Client, tmp_path: Path) -> None:
    try:
        with pytest.raises(WorkersError, match="stall_timeout"):
            DaskEngine(threads, stall_timeout=0.2).map_reduce(Waits(str(tmp_path)), range(20))
    finally:
        (tmp_path / "go").touch()
    until(lambda: empty(threads))


def test_a_cluster_without_workers(tmp_path: Path) -> None:
    with (
        LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", local_directory=str(tmp_path)
        ) as cluster,
        Client(cluster) as client,
        pytest.raises(WorkersError, match=r"no workers for 0\.2 s"),
    ):
        DaskEngine(client, workers_timeout=0.2).map_reduce(Noise(), range(9))


# ---- schedulers that are not there


@pytest.mark.long
def test_a_scheduler_that_dies_in_a_pass(outside: Outside, tmp_path: Path) -> None:
    file, scheduler, worker = outside
    until(file.exists)
    worker()
    with Address(str(file)).open() as client:
        begun = threading.Thread(
            target=lambda: (until((tmp_path / "begun").exists), scheduler.kill())
        )
        begun.start()
        with pytest.raises(SchedulerError, match=r"was lost.*last checkpoint"):
            DaskEngine(client).map_reduce(Waits(str(tmp_path)), range(20))
        begun.join()
        (tmp_path / "go").touch()


@pytest.mark.long
def test_a_message_that_a_dead_scheduler_cannot_take_is_not_told(outside: Outside) -> None:
    file, _, worker = outside
    until(file.exists)
    worker()
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = told.append  # type: ignore[method-assign]
    batched = logging.getLogger("distributed.batched")
    assert batched.isEnabledFor(logging.INFO), "or Dask tells nothing anyway"
    batched.addHandler(handler)
    try:
        with Address(str(file), timeout=60).open() as client:
            comm = client.scheduler_comm

            async def lose() -> None:
                """The connection is lost with a message on its way, as when a machine dies."""
                comm.send({"op": "heartbeat-client"})
                comm.comm.abort()
                await comm.stopped.wait()

            client.sync(lose)
            assert not told
    finally:
        batched.removeHandler(handler)
    assert not told


@pytest.mark.long
def test_a_worker_that_lacks_a_package(outside: Outside) -> None:
    file, _, worker = outside
    until(file.exists)
    worker("sys.modules['numba'] = None")
    with (
        pytest.raises(WorkerPackageError, match=r"worker at tcp://.* cannot import numba"),
        Address(str(file)).open(),
    ):
        pass


def test_a_version_that_differs(processes: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    check_workers(processes)
    versions = packages._versions(processes, list(processes.nthreads()))
    next(iter(versions["workers"].values()))["packages"]["numba"] = "0.1"
    monkeypatch.setattr(packages, "_versions", lambda *_: versions)
    with pytest.raises(WorkerPackageError, match=r"numba 0\.1, but here .*install numba=="):
        check_workers(processes)


def test_an_address_where_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    begun = time.monotonic()
    with pytest.raises(SchedulerError, match=address), Address(address, timeout=1).open():
        pass
    assert time.monotonic() - begun < 10
    missing = str(tmp_path / "none.json")
    with pytest.raises(SchedulerError, match="no scheduler file"), Address(missing).open():
        pass


@pytest.mark.parametrize("address", ["", "localhost", "tcp://", "tcp://host", "http://h:1", "h:1"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError, match="tcp://host:port"):
        Address(address)


# ---- clusters by class


def test_a_cluster_by_class() -> None:
    settings = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with ByClass("dask.distributed.LocalCluster", settings).open() as client:
        assert DaskEngine(client).map_reduce(Noise(), range(9)).equals(expected(range(9)))


def test_classes_that_are_refused() -> None:
    with pytest.raises(ConfigError, match="allow_any"):
        ByClass("os.system", {"command": "true"})
    missing = ByClass("coiled.Cluster")
    with pytest.raises(ConfigError, match="pip install 'coiled'"), missing.open():
        pass
    wrong = ByClass("distributed.LocalCluster", {"security": 1})
    with pytest.raises(ConfigError, match="does not accept its settings"), wrong.open():
        pass
    absent = ByClass(
        "distributed.LocalCluster", {"host": "nowhere.invalid", "dashboard_address": ":0"}
    )
    with pytest.raises(SchedulerError, match="did not start"), absent.open():
        pass


# ---- placement


@given(st.integers(1, 300), st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_no_worker_gets_more_than_its_share(n: int, sizes: list[int]) -> None:
    workers = tuple((f"tcp://w{i}:1", size) for i, size in enumerate(sizes))
    loads = np.bincount(place(tuple(range(n)), workers), minlength=len(sizes))
    assert loads.sum() == n
    assert (loads <= np.ceil(n * np.array(sizes) / sum(sizes))).all()


def test_few_blocks_move_when_a_worker_goes() -> None:
    blocks = tuple(range(1000))
    workers = tuple((f"tcp://10.0.0.{i}:4000", 1) for i in range(10))
    before = [workers[w] for w in place(blocks, workers)]
    after = [workers[:-1][w] for w in place(blocks, workers[:-1])]
    stayed = sum(a == b for a, b in zip(before, after, strict=True))
    assert stayed > 700  # 900 at best; a plan in order would keep about 100


def test_avoided_workers_get_nothing() -> None:
    workers = {f"tcp://w{i}:1": 1 for i in range(4)}
    places = choose("leaf", tuple(range(20)), workers, {"tcp://w2:1"})
    assert places.strict
    for key in [("leaf", 7), ("join-1", 3), "load"]:
        assert sorted(places(key)) == ["tcp://w0:1", "tcp://w1:1", "tcp://w3:1"]
    assert not choose("leaf", (0,), workers, set(workers)).strict


# ---- BLAS


def blas_threads() -> set[int]:
    return {
        pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and computes(pool["filepath"])
    }


def test_blas_is_at_one_thread_until_the_last_is_out() -> None:
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with one_thread():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with one_thread():
        thread.start()
        assert entered.wait(30)
    assert blas_threads() == {1}
    leave.set()
    thread.join()
    assert blas_threads() == before


def test_blas_is_held_from_any_thread_of_a_pool() -> None:
    def count() -> set[int]:
        with one_thread():
            meet.wait(30)  # so that every thread of the pool takes part
            return blas_threads()

    before, meet = blas_threads(), threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool, threadpool_limits(2, "blas"):
        for _ in range(3):
            assert [f.result() for f in [pool.submit(count) for _ in range(3)]] == [{1}] * 3
    assert blas_threads() == before


# ---- Dask arrays


@pytest.mark.long
def test_a_dask_array_as_a_source(processes: Client) -> None:
    x = np.random.default_rng(0).standard_normal((40_000, 130)).astype(np.float32)
    source = DaskArraySource(da.from_array(x, chunks=(1500, 50)))
    assert source.bounds[0] == 0
    assert source.bounds[-1] == 40_000
    assert source.shape == x.shape
    blocks = [source.read(i) for i in range(len(source))]
    assert [b.start for b in blocks] == list(source.bounds[:-1])
    np.testing.assert_array_equal(np.concatenate([b.x for b in blocks]), x)
    assert all(b.x.flags.c_contiguous for b in blocks)
    assert len(source) > 3
    engines = LocalEngine(2), DaskEngine(processes)
    a, b = (e.map_reduce(Column(source), range(len(source))) for e in engines)
    assert a.equals(b)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60), st.integers(1, 40_000))
def test_the_block_plan_keeps_chunks_whole_and_blocks_bounded(
    rows: list[int], row_bytes: int
) -> None:
    edges = plan(tuple(rows), row_bytes)
    assert edges[0] == 0
    assert edges[-1] == len(rows)
    assert list(edges) == sorted(set(edges))
    target = min(128 * MIB, max(4 * MIB, sum(rows) * row_bytes // 16))
    for a, b in pairwise(edges):
        full = [n for n in rows[a:b] if n]
        assert len(full) <= 1 or sum(full) * row_bytes <= target


@pytest.mark.parametrize(
    ("given_type", "wanted"),
    [
        ("bool", "uint8"),
        ("float16", "float32"),
        (">f8", "float64"),
        ("<i2", "int16"),
        (">i4", "int32"),
    ],
)
def test_types_are_made_native(given_type: str, wanted: str) -> None:
    x = np.arange(12).reshape(6, 2).astype(given_type)
    source = DaskArraySource(da.from_array(x, chunks=(2, 1)))
    block = source.read(0)
    assert source.dtype == np.dtype(wanted)
    assert block.x.dtype == np.dtype(wanted)
    assert block.x.dtype.isnative
    np.testing.assert_array_equal(block.x, x.astype(wanted))


@pytest.mark.parametrize("bad", ["complex64", "U3", "object", "M8[s]"])
def test_types_that_are_no_numbers(bad: str) -> None:
    with pytest.raises(DtypeError):
        DaskArraySource(da.from_array(np.zeros((4, 2), dtype=bad), chunks=2))


def test_dask_arrays_that_are_refused(processes: Client) -> None:
    x = da.from_array(np.arange(20.0).reshape(10, 2), chunks=(5, 2))
    with pytest.raises(ShapeError, match="compute_chunk_sizes"):
        DaskArraySource(x[x[:, 0] > 4])
    with pytest.raises(ShapeError, match="two dimensions"):
        DaskArraySource(x[:, 0])
    with pytest.raises(ShapeError, match="the Dask array is empty"):
        DaskArraySource(x[:0])
    with pytest.raises(DtypeError, match="MaskedArray"):
        DaskArraySource(da.ma.masked_less(x, 3))
    with pytest.raises(ConfigError, match=r"persisted on the cluster at .*engine=client"):
        check_client(dask_source(processes.persist(x)).futures, None)
