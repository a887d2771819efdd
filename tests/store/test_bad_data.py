"""Bad input through the whole path: one clear error, before work starts, and nothing changed.

Every row of the table makes one thing wrong in a configuration that works. The error must be of
its own class and name the thing, what was wanted and the remedy; it must come before a cluster
starts where it can be known; and nothing that was there may be changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import yaml
import zarr
from zarr.codecs import ZstdCodec

import emdist.jobs.run
from emdist.errors import (
    CheckpointError,
    ConfigError,
    CorruptChunkError,
    DistinctRowsError,
    DtypeError,
    EmdistError,
    MissingChunksError,
    NonFiniteError,
    NotAnArrayError,
    NotFoundError,
    OutputExistsError,
    RunMismatchError,
    SchedulerError,
    ShapeError,
    StartError,
    StorageError,
    WeightError,
    WorkerPackageError,
    WorkersError,
)
from emdist.interfaces import Array
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import make_config
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model
from emdist.store.sources.zarr_source import ArrayRef, zarr_source
from tests.support.paths import ROOT, environment

Values: TypeAlias = dict[str, dict[str, Any]]


def rows(n: int = 60, d: int = 2) -> Array:
    x = np.random.default_rng(3).normal(size=(n, d)) + 6 * (np.arange(n)[:, None] % 3)
    return x.astype("float32")


def store(path: Path, x: Array, chunks: Any = None, **more: Any) -> None:
    more = {"compressors": ZstdCodec(level=1, checksum=True)} | more
    more["config"] = {"write_empty_chunks": True}
    # Chunks of ten rows in blocks of two chunks.
    array = zarr.create_array(
        path, shape=x.shape, chunks=chunks or (10, *x.shape[1:]), dtype=x.dtype, **more
    )
    array[:] = x


def base(folder: Path) -> Values:
    return {
        "data": {"path": str(folder / "x.zarr"), "block_size": "160 B"},
        "model": {"name": "kmeans", "n_components": 3},
        "fit": {"max_iter": 3},
        "run": {"folder": str(folder / "runs"), "key": "r"},
    }


@dataclass(frozen=True)
class Bad:
    """One thing wrong.

    Attributes
    ----------
    name
        Of the case.
    error
        Class wanted, exactly.
    says
        What the message must hold: the thing, what was wanted, the remedy.
    spoil
        Makes it wrong: in the folder, in the configuration, or in both.
    early
        Whether it can be known without reading rows, and so before a cluster starts.
    """

    name: str
    error: type[EmdistError]
    says: tuple[str, ...]
    spoil: Callable[[Path, Values], Any] = field(repr=False)
    early: bool = True


def replaced(x: Array, **more: Any) -> Callable[[Path, Values], None]:
    def spoil(folder: Path, values: Values) -> None:
        shutil.rmtree(folder / "x.zarr")
        store(folder / "x.zarr", x, **more)

    return spoil


def setting(section: str, **values: Any) -> Callable[[Path, Values], None]:
    def spoil(folder: Path, config: Values) -> None:
        config.setdefault(section, {}).update(values)

    return spoil


def typed(dtype: Any) -> Callable[[Path, Values], None]:
    def spoil(folder: Path, values: Values) -> None:
        shutil.rmtree(folder / "x.zarr")
        zarr.create_array(folder / "x.zarr", shape=(60, 2), chunks=(10, 2), dtype=dtype)

    return spoil


def v2_objects(folder: Path, values: Values) -> None:
    shutil.rmtree(folder / "x.zarr")
    (folder / "x.zarr").mkdir()
    text = (
        '{"zarr_format": 2, "shape": [60, 2], "chunks": [10, 2], "dtype": "|O", "order": "C", '
        '"fill_value": null, "compressor": null, "filters": [{"id": "pickle", "protocol": 5}]}'
    )
    (folder / "x.zarr/.zarray").write_text(text)


def a_file(folder: Path, values: Values) -> None:
    (folder / "table.csv").write_text("a,b\n1,2\n")
    values["data"]["path"] = str(folder / "table.csv")


def a_group(folder: Path, values: Values) -> None:
    group = zarr.create_group(folder / "g.zarr")
    for name in ("inner", "outer"):
        group.create_array(name, shape=(4, 2), chunks=(2, 2), dtype="f4")
    values["data"]["path"] = str(folder / "g.zarr")


def a_folder(folder: Path, values: Values) -> None:
    (folder / "pictures").mkdir()
    (folder / "pictures/1.txt").write_text("one")
    values["data"]["path"] = str(folder / "pictures")


def torn_metadata(folder: Path, values: Values) -> None:
    path = folder / "x.zarr/zarr.json"
    path.write_text(path.read_text()[:90])


def not_finite(value: float) -> Callable[[Path, Values], None]:
    x = rows()
    x[33, 1] = x[35, 0] = value
    return replaced(x)


def lost_chunk(folder: Path, values: Values) -> None:
    (folder / "x.zarr/c/4/0").unlink()


def flipped_bit(folder: Path, values: Values) -> None:
    path = folder / "x.zarr/c/4/0"
    raw = bytearray(path.read_bytes())
    raw[20] ^= 1
    path.write_bytes(raw)


def cut_off_ingest(folder: Path, values: Values) -> None:
    zarr.open_array(folder / "x.zarr", mode="r+").attrs["emdist.complete"] = False


def start_of(**arrays: Any) -> Callable[[Path, Values], None]:
    def spoil(folder: Path, values: Values) -> None:
        np.savez(folder / "start.npz", **arrays)
        values["fit"]["start"] = str(folder / "start.npz")

    return spoil


def no_npz(folder: Path, values: Values) -> None:
    (folder / "start.npz").write_text("means: 1")
    values["fit"]["start"] = str(folder / "start.npz")


def weights(w: Any) -> Callable[[Path, Values], None]:
    def spoil(folder: Path, values: Values) -> None:
        store(folder / "w.zarr", np.asarray(w))
        values["data"]["weights"] = str(folder / "w.zarr")

    return spoil


def one_weight(value: float) -> Array:
    w = np.ones(60)
    w[42] = value
    return w


def finished(values: Values) -> None:
    with open_job(make_config(values)) as job:
        assert isinstance(job, Job)
        job.complete()


def run_of_other_data(folder: Path, values: Values) -> None:
    finished(values)
    array = zarr.open_array(folder / "x.zarr", mode="r+")
    array[5] = 0.25


def run_of_another_config(folder: Path, values: Values) -> None:
    finished(values)
    values["fit"]["seed"] = 7


def run_folder_of_others(folder: Path, values: Values) -> None:
    (folder / "runs/r").mkdir(parents=True)
    (folder / "runs/r/thesis.tex").write_text("precious")


def labels_of_others(folder: Path, values: Values) -> None:
    (folder / "out").mkdir()
    (folder / "out/thesis.tex").write_text("precious")
    values["labels"] = {"path": str(folder / "out")}


def labels_of_another_run(folder: Path, values: Values) -> None:
    values["labels"] = {"path": str(folder / "out")}
    finished(values)
    values["model"]["n_components"] = 2
    values["run"]["key"] = "another"


def closed_port(folder: Path, values: Values) -> None:
    with socket.socket() as taken:  # bound and closed again: nobody listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    values["cluster"] = {"kind": "address", "address": f"tcp://127.0.0.1:{port}", "timeout": 0.5}


def file_in_the_way(folder: Path, values: Values) -> None:
    (folder / "runs").write_text("a file")


TABLE = [
    Bad("no such path", NotFoundError, ("y.zarr", "did you mean 'x.zarr'", "Check the path"),
        lambda f, v: v["data"].update(path=str(f / "y.zarr"))),
    Bad("no such folder", NotFoundError, ("a/b/x.zarr", "Check the path"),
        lambda f, v: v["data"].update(path=str(f / "a/b/x.zarr"))),
    Bad("no such member", NotFoundError, ("x.zarr/inner", "Check the path"),
        setting("data", array="inner")),
    Bad("no such weights", NotFoundError, ("nothing.zarr", "Check the path"),
        lambda f, v: v["data"].update(weights=str(f / "nothing.zarr"))),
    Bad("unknown scheme", ConfigError, ("ftp://", "s3://"),
        setting("data", path="ftp://host/x.zarr")),
    Bad("a file", NotAnArrayError, ("table.csv is a file", "emdist ingest table.csv"), a_file),
    Bad("a group", ConfigError, ("g.zarr is a group with several variables", "inner (dim_0 4"),
        a_group),
    Bad("a folder", NotAnArrayError, ("pictures is a folder", "zarr.json", "emdist ingest"),
        a_folder),
    Bad("torn metadata", NotAnArrayError, ("x.zarr is not a readable Zarr array",),
        torn_metadata),
    Bad("one dimension", ShapeError, ("1 dimension(s), shape (60,)", "expected 2", "(n, 1)"),
        replaced(rows()[:, 0])),
    Bad("three dimensions", ShapeError, ("3 dimension(s)", "expected 2", "Reshape it"),
        replaced(rows().reshape(15, 4, 2))),
    Bad("zero rows", ShapeError, ("0 sample(s)", "minimum of 1", "writer finished"),
        replaced(rows()[:0], chunks=(10, 2))),
    Bad("zero features", ShapeError, ("0 feature(s)", "minimum of 1"),
        replaced(rows()[:, :0], chunks=(10, 2))),
    Bad("objects", DtypeError, ("x.zarr", "'|O'", "expected real numbers", "convert"), v2_objects),
    Bad("text", DtypeError, ("expected real numbers", "encode the categories"), typed("U4")),
    Bad("long text", DtypeError, ("expected real numbers", "convert"), typed(str)),
    Bad("complex", DtypeError, ("complex64", "expected real numbers", "modulus"),
        typed("complex64")),
    Bad("dates", DtypeError, ("datetime64", "days since"), typed("datetime64[D]")),
    Bad("few distinct rows", DistinctRowsError, ("2 distinct rows", "3 clusters", "at most 2"),
        replaced(np.repeat(rows(2), 30, axis=0)), early=False),
    Bad("NaN", NonFiniteError, ("block 1 (rows 20..39)", "33, 35", "nan in feature 1", "'drop'"),
        not_finite(np.nan), early=False),
    Bad("Inf", NonFiniteError, ("block 1 (rows 20..39)", "33, 35", "inf in feature 1", "'drop'"),
        not_finite(np.inf), early=False),
    Bad("missing chunk", MissingChunksError, ("x.zarr: chunks for 10 of 60 rows", "40..49",
        "fill value", "missing_chunks to 'drop'"), lost_chunk),
    Bad("incomplete ingest", MissingChunksError, ("x.zarr", "is incomplete",
        "ingest again"), cut_off_ingest),
    Bad("corrupt chunk", CorruptChunkError, ("'c/4/0'", "rows 40..49, block 2", "Write this chunk "
        "again"), flipped_bit, early=False),
    Bad("k = 0", ConfigError, ("model.n_components", "expected at least 1", "got 0"),
        setting("model", n_components=0)),
    Bad("k < 0", ConfigError, ("model.n_components", "expected at least 1", "got -2"),
        setting("model", n_components=-2)),
    Bad("k > rows", StartError, ("61 components for 60 rows", "at least one row", "fewer"),
        setting("model", n_components=61)),
    Bad("start with another k", StartError, ("(2, 2)", "expected (3, 2)"),
        start_of(means=np.zeros((2, 2)))),
    Bad("start with other features", StartError, ("(3, 5)", "expected (3, 2)"),
        start_of(means=np.zeros((3, 5)))),
    Bad("start with NaN", StartError, ("means", "NaN", "finite"),
        start_of(means=np.full((3, 2), np.nan))),
    Bad("start with unknown array", StartError, ("'sigmas'", "weights, means"),
        start_of(means=np.zeros((3, 2)), sigmas=np.ones(3))),
    Bad("start that is no npz", StartError, ("start.npz", "numpy.savez"), no_npz),
    Bad("start that is not there", NotFoundError, ("none.npz", "fit.start"),
        setting("fit", start="/nowhere/none.npz")),
    Bad("weights of another length", WeightError, ("(59,)", "expected (60,)"),
        weights(np.ones(59))),
    Bad("weights in two dimensions", WeightError, ("(60, 1)", "expected (60,)"),
        weights(np.ones((60, 1)))),
    Bad("weights negative", WeightError, ("block 2", "row 42: -1.0", "expected numbers >= 0"),
        weights(one_weight(-1)), early=False),
    Bad("weights NaN", WeightError, ("block 2", "row 42: nan", "expected numbers >= 0"),
        weights(one_weight(np.nan)), early=False),
    Bad("weights all zero", WeightError, ("All sample weights are zero", "at least one"),
        weights(np.zeros(60)), early=False),
    Bad("unknown key", ConfigError, ("model.n_component", "did you mean 'n_components'"),
        setting("model", n_component=3)),
    Bad("unknown section", ConfigError, ("modle", "did you mean 'model'"),
        setting("modle", name="kmeans")),
    Bad("unknown model", ConfigError, ("'kmean'", "did you mean 'kmeans'"),
        setting("model", name="kmean")),
    Bad("unknown model option", ConfigError, ("reg_cov", "did you mean 'reg_covar'"),
        setting("model", name="full", options={"reg_cov": 1e-3})),
    Bad("unknown cluster", ConfigError, ("'locl'", "did you mean 'local'"),
        setting("cluster", kind="locl")),
    Bad("unknown cluster option", ConfigError, ("workers", "did you mean 'n_workers'"),
        setting("cluster", kind="local", workers=3)),
    Bad("not a size", ConfigError, ("block_size", "'many'", "'128 MiB'"),
        setting("data", block_size="many")),
    Bad("run of other data", RunMismatchError, ("a run whose data has changed since",
        "sampled_sha256", "Nothing was changed", "another run.key"), run_of_other_data),
    Bad("run of another configuration", RunMismatchError, ("run.json", "\n  fit.seed: 0 -> 7",
        "Nothing was changed", "another run.key"), run_of_another_config),
    Bad("run folder of others", RunMismatchError, ("not the folder of a run", "Nothing was changed",
        "another run.key"), run_folder_of_others),
    Bad("labels of others", OutputExistsError, ("out", "emdist did not write", "Nothing was "
        "changed", "another place"), labels_of_others),
    Bad("labels of another run", RunMismatchError, ("out", "another model", "another place"),
        labels_of_another_run),
    Bad("file in the way", StorageError, ("runs", "choose another"), file_in_the_way),
    Bad("unreachable scheduler", SchedulerError, ("tcp://127.0.0.1:", "within 0.5 s",
        "Check that `dask scheduler` runs there"), closed_port, early=False),
]  # fmt: skip


def tree(folder: Path) -> dict[str, Any]:
    """Every file below `folder` by content, and every empty folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        if p.is_file()
        else ""
        for p in folder.rglob("*")
    }


@contextlib.contextmanager
def clusters_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was asked of `make_engine` and got past its options: an engine, or a cluster."""
    made: list[Any] = []
    plain = emdist.jobs.run.make_engine

    @contextlib.contextmanager
    def counting(*given: Any) -> Iterator[Any]:
        with plain(*given) as engine:
            made.append(engine)
            yield engine

    monkeypatch.setattr(emdist.jobs.run, "make_engine", counting)
    yield made


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_bad_input_is_met_with_one_clear_error(
    bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = base(tmp_path)
    store(tmp_path / "x.zarr", rows())
    bad.spoil(tmp_path, values)
    before = tree(tmp_path)
    with clusters_counted(monkeypatch) as made, pytest.raises(EmdistError) as told:
        finished(values)
    message = str(told.value)
    assert type(told.value) is bad.error, message
    for part in bad.says:
        assert part in message, message
    assert len(message) < 1500
    assert not (bad.early and made), "an engine was started for nothing"
    after = tree(tmp_path)
    assert {name: after.get(name) for name in before} == before
    # No result, no labels: only the record of a run that was begun, if anything.
    added = [n for n in after.keys() - before.keys() if not (tmp_path / n).is_dir()]
    assert all(n.endswith("/run.json") or n.startswith("runs/r/owners/") for n in added), added


def test_the_table_is_about_a_configuration_that_works(tmp_path: Path) -> None:
    store(tmp_path / "x.zarr", rows())
    store(tmp_path / "w.zarr", np.ones(60))
    values = base(tmp_path)
    values["data"]["weights"] = str(tmp_path / "w.zarr")
    finished(values)
    assert (tmp_path / "runs/r/labels.zarr/zarr.json").is_file()


def test_the_remedy_for_a_wrong_number_of_clusters_works_with_the_same_key(tmp_path: Path) -> None:
    store(tmp_path / "x.zarr", rows())
    values = base(tmp_path)
    values["model"]["n_components"] = 61
    with pytest.raises(StartError), open_job(make_config(values)):
        pass
    values["model"]["n_components"] = 3
    finished(values)  # the refused start has left nothing behind that forbids it


# ---- disks


SCRIPT = """
import resource, signal, sys
from pathlib import Path
from emdist.settings.file import read_config
from emdist.errors import EmdistError
from emdist.jobs.run import open_job
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
config = read_config(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with open_job(config) as job:
        print(job.complete().result["iterations"])
except EmdistError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


@pytest.mark.long
def test_a_full_disk(tmp_path: Path) -> None:
    store(tmp_path / "x.zarr", rows())
    values = base(tmp_path)
    values["run"]["checkpoint_iterations"] = 1
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))

    def start(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "c.yaml"), str(limit)],
            env=environment(), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    data = tree(tmp_path / "x.zarr")
    for limit in (200, 3000):  # of run.json, and of the first checkpoint
        full = start(limit)
        assert full.returncode == 5, full
        assert full.stdout.startswith("StorageError cannot write ")
        assert "start again" in full.stdout
        assert tree(tmp_path / "x.zarr") == data
    freed = start(resource.RLIM_INFINITY)
    assert freed.returncode == 0, freed


@pytest.mark.parametrize("inside", ["runs", "runs/r"])
def test_a_read_only_disk(tmp_path: Path, inside: str) -> None:
    store(tmp_path / "x.zarr", rows())
    values = base(tmp_path)
    if inside == "runs/r":  # it became read-only after the run was begun
        with open_job(make_config(values)) as job:
            assert isinstance(job, Job)
    disk = tmp_path / inside
    disk.mkdir(exist_ok=True)
    bind = [
        ["mount", "--bind", str(disk), str(disk)],
        ["mount", "-o", "remount,ro,bind", str(disk)],
    ]
    if os.geteuid() != 0 or any(
        subprocess.run(c, capture_output=True, check=False).returncode for c in bind
    ):
        subprocess.run(["umount", str(disk)], capture_output=True, check=False)
        pytest.skip("mounting is not permitted here")
    before = tree(tmp_path)
    try:
        with pytest.raises(StorageError, match=r"read-only.*can be written"):
            finished(values)
        assert tree(tmp_path) == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    finished(values)


# ---- clusters


@pytest.mark.long
def test_workers_without_room_for_a_block(tmp_path: Path) -> None:
    store(tmp_path / "x.zarr", np.zeros((1 << 16, 128), "float32"), chunks=(1 << 16, 128))
    values = base(tmp_path)
    values["data"] |= {"block_size": "32 MiB", "missing_chunks": "fill"}
    values["cluster"] = {"kind": "local", "n_workers": 1, "memory_limit": "340 MiB"}
    before = tree(tmp_path)
    with pytest.raises(WorkersError, match=r"340 MiB for 1 thread.*blocks of 32 MiB") as told:
        finished(values)
    said = re.search(r"rechunk\(\((\d+), -1\)\).*at least (\d+) MiB", str(told.value))
    assert said is not None
    assert int(said[1]) * 128 * 4 < 32 << 20  # one chunk is the whole array: it is to be cut
    assert int(said[2]) > 340
    assert {n: s for n, s in tree(tmp_path).items() if n in before} == before


def test_workers_without_a_package(tmp_path: Path) -> None:
    store(tmp_path / "x.zarr", rows())
    file = tmp_path / "scheduler.json"
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_TEMPORARY_DIRECTORY": str(tmp_path / "dask"),
    }
    lacking = "import sys; sys.modules['numcodecs'] = None; "
    codes = [
        ["-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard"],
        ["-c", f"{lacking}from distributed.cli.dask_worker import main; main()", "--no-nanny",
         "--no-dashboard", "--nthreads=1"],
    ]  # fmt: skip
    started = []
    try:
        for code in codes:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            command = [sys.executable, *code, "--scheduler-file", str(file)]
            started.append(subprocess.Popen(command, env=env, cwd=tmp_path, **quiet))
            deadline = time.monotonic() + 60
            while not file.exists():
                assert time.monotonic() < deadline, "no scheduler"
                time.sleep(0.01)
        values = base(tmp_path)
        values["cluster"] = {"kind": "address", "address": str(file), "timeout": 60}
        with (
            pytest.raises(
                WorkerPackageError, match=r"worker at tcp://.*numcodecs.*same environment"
            ),
            open_job(make_config(values)),
        ):
            pass
        assert not (tmp_path / "runs/r/ckpt").exists()
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_errors_of_rows_come_back_from_a_cluster_as_they_are(tmp_path: Path) -> None:
    x = rows()
    x[33, 1] = np.nan
    store(tmp_path / "x.zarr", x)
    flipped_bit(tmp_path, {})
    values = base(tmp_path)
    values["cluster"] = {"kind": "local", "n_workers": 1, "processes": False}
    with pytest.raises((NonFiniteError, CorruptChunkError), match=r"block [12]"):
        finished(values)


@pytest.mark.parametrize("what", ["pipe", "socket", "device"])
def test_what_is_no_file_is_named_and_never_waited_for(what: str, tmp_path: Path) -> None:
    place = tmp_path / "x"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "socket":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(place))
        listening.close()
    else:
        place = Path("/dev/null")
    with pytest.raises(NotAnArrayError, match=f"is a {what}"):
        zarr_source(ArrayRef(Location(str(place))))
    if what != "device":
        model = tmp_path / "model"
        model.mkdir()
        place.rename(model / "model.json")
        with pytest.raises(CheckpointError, match=f"model.json is a {what}.*expected a file"):
            read_model(Location(str(model)))
