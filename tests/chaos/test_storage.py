"""Damage to files of a run, disks that are full or read-only: the same bits, or a refusal."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from emdist.composition.sweep_config import make_sweep_config
from emdist.compression import image as compression
from emdist.errors import (
    CorruptChunkError,
    EmdistError,
    MissingChunksError,
    NewerFormatError,
    RunMismatchError,
    StorageError,
)
from emdist.fit.events import Event, Iterated, Progress, Warned
from emdist.fit.fitted import Fitted
from emdist.fit.state import FitState
from emdist.fit.survey import Survey
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.records import load_fitted
from emdist.jobs.run import open_job
from emdist.jobs.sweep import SweepJob
from emdist.settings.config import ClusterSection, DataSection, make_config
from emdist.store.places.location import Location
from emdist.store.runs.codec import decode, encode
from tests.support.killable_jobs import result
from tests.support.paths import environment

ROWS = 800


def stored(path: Path, seed: int = 0, checksum: bool = True) -> Path:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(ROWS, 2)) + 4 * rng.integers(0, 3, (ROWS, 1))).astype("float32")
    compressors = ZstdCodec(level=1, checksum=True) if checksum else None
    array = zarr.create_array(
        path, shape=x.shape, chunks=(100, 2), dtype="f4", compressors=compressors
    )
    array[:] = x
    return path


def config(data: Path, runs: Path, key: str = "r", **more: Any) -> dict[str, Any]:
    return {
        "data": {"path": str(data), "block_size": "1600 B", **more},
        "model": {"name": "diagonal", "n_components": 3},
        "fit": {"seed": 1, "max_iter": 3, "tol": 1e-12},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(runs), "key": key, "checkpoint_iterations": 1},
        "labels": {"outputs": ["labels", "score"]},
    }


def complete(values: dict[str, Any], listen: Callable[[Event], None] = lambda e: None) -> Any:
    with open_job(make_config(values), listen=listen) as job:
        return job.complete().result if isinstance(job, Job) else job["result"]


class Cut(Exception):  # noqa: N818  no error
    """The job ends here."""


def cut_at(iteration: int) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, Iterated) and event.record.iteration == iteration:
            raise Cut

    return listen


# --- damage to any file ----------------------------------------------------------------------


def _flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(max(1, path.stat().st_size)))


DAMAGE: dict[str, Callable[[Path, random.Random], Any]] = {
    "deleted": lambda path, rng: path.unlink(),
    "empty": lambda path, rng: os.truncate(path, 0),
    "truncated": _truncate,
    "flipped": _flip,
    "zeros": lambda path, rng: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``whole``, a finished run; ``half``, one that was cut off; ``other``, of other data."""
    folder = tmp_path_factory.mktemp("runs")
    stored(folder / "x.zarr")
    stored(folder / "y.zarr", 1)
    complete(config(folder / "x.zarr", folder / "whole"))
    complete(config(folder / "y.zarr", folder / "other"))
    with pytest.raises(Cut):
        complete(config(folder / "x.zarr", folder / "half"), cut_at(3))
    yield folder
    shutil.rmtree(folder)


def files(run: Path) -> list[str]:
    return sorted(p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file())


def twin(name: str, run: Path, other: Path) -> Path | None:
    """The file of the other run that stands where `name` does."""
    parts = name.split("/")
    if parts[0] in ("ckpt", "survey") and len(parts) == 3:
        found = sorted(other.glob(f"{parts[0]}/{parts[1][:8]}-*/{parts[2]}"))
        return found[0] if found else None
    path = other / name
    return path if path.is_file() else None


def look(run: Path) -> None:
    """What reads a run without changing it says what is the matter, and nothing else."""
    for read in (inspect, load_fitted):
        with contextlib.suppress(EmdistError):
            read(Location(str(run)))


def after_damage(runs: Path, which: str, name: str, harm: Callable[[Path], Any], at: Path) -> str:
    """What a start of the damaged run comes to; AssertionError for another result."""
    shutil.rmtree(at, ignore_errors=True)
    shutil.copytree(runs / which, at)
    harm(at / "r" / name)
    look(at / "r")
    values = config(runs / "x.zarr", at)
    wanted = result(runs / "whole" / "r")
    try:
        summary = complete(values)
    except EmdistError as error:
        return type(error).__name__
    assert summary["objective"] == complete(config(runs / "x.zarr", runs / "whole"))["objective"]
    found = result(at / "r")
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if not differing:
        return "same bits"
    raise AssertionError(f"not noticed: {differing}")


def damaged(runs: Path, at: Path, seed: int, some: int | None) -> collections.Counter[str]:
    """Each damage to each file, or to `some` of the pairs; what came of them, by kind."""
    rng = random.Random(seed)
    cases = []
    for which in ("half", "whole"):
        for name in files(runs / which / "r"):
            for kind, harm in DAMAGE.items():
                times = 1 if kind in ("deleted", "empty", "zeros") else 2
                cases += [(which, name, kind, lambda p, h=harm: h(p, rng))] * times
            if (path := twin(name, runs / which / "r", runs / "other" / "r")) is not None:
                cases.append((which, name, "swapped", lambda p, o=path: shutil.copy(o, p)))
    if some is not None:
        cases = rng.sample(cases, min(some, len(cases)))
    outcome: collections.Counter[str] = collections.Counter()
    for which, name, kind, harm in cases:
        try:
            found = after_damage(runs, which, name, harm, at)
        except Exception as error:
            raise AssertionError(f"{which}: {name} {kind}") from error
        outcome[f"{kind}: {found}"] += 1
    return outcome


@pytest.mark.long
def test_damage_to_a_file_of_a_run_is_mended_or_refused(runs: Path, tmp_path: Path) -> None:
    outcome = damaged(runs, tmp_path / "at", 1, 40)
    print(dict(outcome))
    assert outcome.total() == 40


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_damage_to_every_file_of_a_run(runs: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("EMDIST_CHAOS_SEED", "0"))
    outcome = damaged(runs, tmp_path / "at", seed, None)
    print(f"seed {seed}: {outcome.total()} faults, {dict(sorted(outcome.items()))}")


# --- disks -----------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; the test is skipped where none may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("mounting is not permitted here: a full disk needs CAP_SYS_ADMIN")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int) -> Path:
    """Take all space of a file system but `leave` bytes."""
    filler = place / "filler"
    free = os.statvfs(place)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return filler


@pytest.mark.long
def test_a_disk_that_fills_up_at_any_time(runs: Path, small: Path) -> None:
    wanted = result(runs / "whole" / "r")
    told: list[tuple[int, str]] = []
    for leave in (0, 8, 24, 36, 48, 64, 96):
        filler = fill(small, leave << 10)
        try:
            complete(config(runs / "x.zarr", small / "runs"))
        except StorageError as error:
            told.append((error.exit_code, str(error)))
        filler.unlink()
        assert not [p for p in (small / "runs").rglob("*") if ".tmp-" in p.name]
    complete(config(runs / "x.zarr", small / "runs"))
    assert result(small / "runs" / "r") == wanted
    assert len(told) >= 3
    for code, message in told:
        assert code == 5
        assert "disk is full" in message


def test_a_disk_that_is_full_while_iterating_keeps_the_last_checkpoint(
    runs: Path, small: Path
) -> None:
    fillers: list[Path] = []

    def fill_up(event: Event) -> None:
        if isinstance(event, Iterated) and event.record.iteration == 2:
            fillers.append(fill(small, 0))

    with pytest.raises(StorageError, match="disk is full"):
        complete(config(runs / "x.zarr", small / "runs"), fill_up)
    assert inspect(Location(str(small / "runs/r")))["checkpoint"]["sequence"] == 1
    fillers[0].unlink()
    complete(config(runs / "x.zarr", small / "runs"))
    assert result(small / "runs" / "r") == result(runs / "whole" / "r")


class FullDevice:
    """From the `first`-th file that is created on, what is written goes to a device that is full.

    The kernel says so at the real write calls; it needs no rights, unlike a small disk.
    """

    def __init__(self, first: float, patch: pytest.MonkeyPatch) -> None:
        self.first, self.created = first, 0
        self._os_open, self._path_open = os.open, Path.open
        patch.setattr(os, "open", self.os_open)
        patch.setattr(Path, "open", lambda path, *a, **k: self.path_open(path, *a, **k))

    def is_full(self) -> bool:
        self.created += 1
        return self.created > self.first

    def os_open(self, path: Any, flags: int, *mode: Any, **more: Any) -> int:
        fd = self._os_open(path, flags, *mode, **more)
        if flags & os.O_CREAT and flags & os.O_WRONLY and self.is_full():
            os.close(fd)
            return self._os_open("/dev/full", os.O_WRONLY)
        return fd

    def path_open(self, path: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        file = self._path_open(path, mode, *args, **more)
        if "w" in mode and self.is_full():
            file.close()
            return self._path_open(Path("/dev/full"), mode, *args, **more)
        return file


def unfinished(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if ".tmp-" in p.name or p.suffix == ".partial"]


def filled_up(runs: Path, at: Path, every: int) -> tuple[int, int]:
    """A run on a disk that fills up at each `every`-th of its files: faults, files of a run."""
    wanted = result(runs / "whole" / "r")
    with pytest.MonkeyPatch.context() as patch:
        device = FullDevice(float("inf"), patch)
        complete(config(runs / "x.zarr", at / "plain"))
    faults = 0
    for first in range(0, device.created, every):
        place = at / str(first)
        with pytest.MonkeyPatch.context() as patch:
            FullDevice(first, patch)
            with pytest.raises(StorageError, match="disk is full") as failure:
                complete(config(runs / "x.zarr", place))
        faults += 1
        assert failure.value.exit_code == 5
        assert unfinished(place) == []
        complete(config(runs / "x.zarr", place))
        assert result(place / "r") == wanted, first
        shutil.rmtree(place)
    return faults, device.created


@pytest.mark.long
def test_a_disk_that_fills_up_at_any_file_without_a_mount(runs: Path, tmp_path: Path) -> None:
    faults, created = filled_up(runs, tmp_path, 7)
    print(f"{faults} of {created} files")
    assert faults >= 5


@pytest.mark.slow
def test_a_disk_that_fills_up_at_every_file(runs: Path, tmp_path: Path) -> None:
    faults, created = filled_up(runs, tmp_path, 1)
    print(f"{faults} of {created} files")
    assert faults == created


def test_files_that_may_not_grow(runs: Path, tmp_path: Path) -> None:
    """``ulimit -f``: writes end in the middle of checkpoints, models and label chunks."""
    wanted = result(runs / "whole" / "r")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: list[tuple[int, str]] = []
    for limit in (0, 40, 200, 700, 1500, 2500, 4000, 8000, 16000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            complete(config(runs / "x.zarr", tmp_path / "runs"))
        except StorageError as error:
            told.append((error.exit_code, str(error)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert unfinished(tmp_path / "runs") == []
    assert len(told) >= 4
    assert all(code == 5 and "ulimit -f" in message for code, message in told)
    complete(config(runs / "x.zarr", tmp_path / "runs"))
    assert result(tmp_path / "runs" / "r") == wanted


@pytest.mark.long
def test_a_disk_that_is_full_while_ingesting(small: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20_000, 3)))
    command = [sys.executable, "-m", "emdist", "ingest", str(tmp_path / "x.npy")]
    done = subprocess.run(
        [*command, str(small / "x.zarr")], capture_output=True, text=True, check=False,
        env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_disk(runs: Path, small: Path) -> None:
    complete(config(runs / "x.zarr", small / "runs"))
    (small / "runs/r/summary.json").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    for key in ("r", "new"):
        with pytest.raises(StorageError, match="read-only"):
            complete(config(runs / "x.zarr", small / "runs", key))
    assert inspect(Location(str(small / "runs/r")))["kind"] == "run"
    assert load_fitted(Location(str(small / "runs/r")))


# --- the input -------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["deleted", "empty", "truncated", "flipped"])
def test_a_damaged_chunk_is_named_or_its_rows_are_left_out(harm: str, tmp_path: Path) -> None:
    data = stored(tmp_path / "x.zarr")
    DAMAGE[harm](data / "c/3/0", random.Random(4))
    wanted: Any = MissingChunksError if harm == "deleted" else CorruptChunkError
    with pytest.raises(wanted, match=r"rows 300" if harm == "deleted" else r"c/3/0.*rows 300..399"):
        complete(config(data, tmp_path / "runs"))
    policy = {"missing_chunks": "drop"} if harm == "deleted" else {"corrupt_chunks": "drop"}
    found = complete(config(data, tmp_path / "runs", "dropped", **policy))
    assert found["rows_left_out"] == 100
    labels = zarr.open_array(tmp_path / "runs/dropped/labels.zarr", path="labels", mode="r")[:]
    assert np.flatnonzero(np.asarray(labels) == -1).tolist() == list(range(300, 400))
    # The same as an array that never had these rows' chunk.
    plain = stored(tmp_path / "plain.zarr")
    (plain / "c/3/0").unlink()
    same = complete(config(plain, tmp_path / "runs", "plain", missing_chunks="drop"))
    assert same["objective"] == found["objective"]


def rewrite(data: Path, chunk: int, value: float) -> None:
    """Another number in a chunk without checksum: of the same size."""
    path = data / f"c/{chunk}/0"
    bytes_ = bytearray(path.read_bytes())
    bytes_[400:404] = np.array([value], "<f4").tobytes()
    path.write_bytes(bytes_)


#: A chunk of `many` that the fingerprint does not look into.
UNSEEN = 4


def many(tmp_path: Path) -> Path:
    """More chunks than the fingerprint samples."""
    x = np.random.default_rng(0).normal(size=(20 * 100, 2)).astype("float32")
    path = tmp_path / "many.zarr"
    array = zarr.create_array(path, shape=x.shape, chunks=(100, 2), dtype="f4", compressors=None)
    array[:] = x
    return path


def test_bytes_changed_between_starts_are_noticed_in_any_chunk(tmp_path: Path) -> None:
    for chunk in (0, UNSEEN, 12):  # one that is sampled, and two that are not
        data = many(tmp_path)
        values = config(data, tmp_path / "runs", f"r{chunk}")
        with pytest.raises(Cut):
            complete(values, cut_at(2))
        rewrite(data, chunk, 3.25)
        with pytest.raises(RunMismatchError, match=r"changed|another run"):
            complete(values)
        shutil.rmtree(data)


def changing(data: Path) -> Callable[[Event], None]:
    """A listener that rewrites a chunk of `data` after the second iteration."""

    def change(event: Event) -> None:
        if isinstance(event, Iterated) and event.record.iteration == 2:
            rewrite(data, UNSEEN, -2.5)

    return change


def test_bytes_changed_during_the_run_are_noticed_before_its_model_is_stored(
    tmp_path: Path,
) -> None:
    data = many(tmp_path)
    change = changing(data)
    with pytest.raises(RunMismatchError, match="changed during the run or after it"):
        complete(config(data, tmp_path / "runs"), change)
    assert not (tmp_path / "runs/r/final").exists()
    assert not (tmp_path / "runs/r/summary.json").exists()


def swept(values: dict[str, Any], listen: Callable[[Event], None] = lambda e: None) -> Any:
    asked = {**values, "sweep": {"n_components": [2, 3]}}
    with open_job(make_sweep_config(asked), listen=listen) as job:
        return job.complete().best if isinstance(job, SweepJob) else job["best"]


def test_bytes_changed_during_a_sweep_are_noticed_before_its_models_are_stored(
    tmp_path: Path,
) -> None:
    data = many(tmp_path)
    change = changing(data)
    with pytest.raises(RunMismatchError, match="changed during the run or after it"):
        swept(config(data, tmp_path / "runs"), change)
    assert not (tmp_path / "runs/r/final").exists()
    assert not (tmp_path / "runs/r/models").exists()
    with pytest.raises(RunMismatchError, match="changed during the run or after it"):
        swept(config(data, tmp_path / "runs"))


def test_bytes_changed_while_a_sweep_labels_are_noticed_before_its_summary(
    tmp_path: Path,
) -> None:
    data = many(tmp_path)

    def change(event: Event) -> None:
        if isinstance(event, Progress) and event.what == "label" and event.done == 3:
            rewrite(data, UNSEEN, -2.5)

    with pytest.raises(RunMismatchError, match="changed during the run or after it"):
        swept(config(data, tmp_path / "runs"), change)
    assert not (tmp_path / "runs/r/summary.json").exists()


@pytest.mark.parametrize("start", [complete, swept])
def test_a_finished_run_is_held_to_its_data(start: Callable[..., Any], tmp_path: Path) -> None:
    data = many(tmp_path)
    values = config(data, tmp_path / "runs")
    found = start(values)
    wanted = result(tmp_path / "runs/r")
    heard: list[Event] = []
    assert start(values, heard.append) == found
    assert heard == []  # done already
    os.utime(data / f"c/{UNSEEN}/0")  # a copy, say
    assert start(values, heard.append) == found
    assert [e for e in heard if isinstance(e, Warned) and "reads all rows once more" in e.message]
    assert result(tmp_path / "runs/r") == wanted
    heard.clear()
    start(values, heard.append)
    assert heard == []
    rewrite(data, UNSEEN, -2.5)
    with pytest.raises(RunMismatchError, match="changed during the run or after it"):
        start(values)


def labelled(tmp_path: Path, data: Path, listen: Callable[[Event], None] = lambda e: None) -> Any:
    section = DataSection(path=str(data), block_size="1600 B")
    out = Location(str(tmp_path / "out"))
    one = ClusterSection(threads=1)  # type: ignore[call-arg]
    return label_data(Location(str(tmp_path / "runs/r")), section, out, one, listen=listen)


def test_labels_of_data_that_changed_are_begun_anew(tmp_path: Path) -> None:
    """Between two starts, in a chunk that the fingerprint does not look into."""
    data = many(tmp_path)
    complete(config(data, tmp_path / "runs"))

    def cut(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 6:
            raise Cut

    with pytest.raises(Cut):
        labelled(tmp_path, data, cut)
    rewrite(data, UNSEEN, 1e3)
    heard: list[Event] = []
    labelled(tmp_path, data, heard.append)
    assert [e for e in heard if isinstance(e, Warned) and "labels all rows again" in e.message]
    found = zarr.open_array(tmp_path / "out/labels", mode="r")[:]
    shutil.rmtree(tmp_path / "out")
    labelled(tmp_path, data)
    assert np.array_equal(found, zarr.open_array(tmp_path / "out/labels", mode="r")[:])
    heard.clear()
    labelled(tmp_path, data, heard.append)
    assert not [e for e in heard if isinstance(e, Warned)]


def test_data_that_changes_while_it_is_labelled_is_told(tmp_path: Path) -> None:
    data = many(tmp_path)
    complete(config(data, tmp_path / "runs"))

    def change(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 6:
            rewrite(data, UNSEEN, 1e3)

    with pytest.raises(RunMismatchError, match="changed while emdist labelled them"):
        labelled(tmp_path, data, change)
    heard: list[Event] = []
    labelled(tmp_path, data, heard.append)
    assert [e for e in heard if isinstance(e, Warned) and "labels all rows again" in e.message]


def test_a_copy_of_the_data_is_resumed_after_one_more_look(tmp_path: Path) -> None:
    data = many(tmp_path)
    values = config(data, tmp_path / "runs")
    complete(config(data, tmp_path / "runs", "wanted"))
    with pytest.raises(Cut):
        complete(values, cut_at(2))
    shutil.copytree(data, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(data)
    (tmp_path / "copy").rename(data)
    heard: list[Event] = []
    complete(values, heard.append)
    told = [e for e in heard if isinstance(e, Warned) and "reads all rows once more" in e.message]
    assert len(told) == 1
    assert result(tmp_path / "runs/r") == result(tmp_path / "runs/wanted")


# --- schemas ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [FitState, Survey, Fitted])
def test_a_newer_schema_is_refused_and_not_skipped(cls: Any) -> None:
    arrays, meta = encode(FitState(1))
    told = rf"{cls.__name__}.*schema {cls.schema + 1}\b.*up to {cls.schema}\b"
    with pytest.raises(NewerFormatError, match=told):
        decode(cls, arrays, meta | {"schema": cls.schema + 1})


def test_only_in_an_older_schema_may_fields_be_missing() -> None:
    arrays, meta = encode(FitState(1))
    assert meta["schema"] == FitState.schema
    del meta["items"]["history"]
    with pytest.raises(EmdistError, match="history is missing"):
        decode(FitState, arrays, meta)
    del meta["schema"]
    assert decode(FitState, arrays, meta) == FitState(1)


# --- compress --------------------------------------------------------------------------------


@pytest.mark.long
def test_what_a_killed_compression_left_is_removed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from emdist.compression import image as compression\n"
        "with compression._workplace(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], check=False,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.png.partial-")
    with compression._workplace(out) as first:
        assert not left.exists()
        with compression._workplace(out):  # another one at work is let be
            assert first.path.exists()
    assert list(tmp_path.iterdir()) == []
