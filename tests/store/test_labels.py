"""Laws of the label writer: whole chunks, exactly once, and nothing of others is touched."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import emdist
from emdist.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
    OutputExistsError,
    RunMismatchError,
    StorageError,
)
from emdist.fit.events import Event, Progress
from emdist.interfaces import Assigned, Block
from emdist.jobs.inspect import faults, inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.records import load_fitted, save_fitted
from emdist.jobs.run import open_job
from emdist.settings.config import ClusterSection, DataSection, NewDataSection, make_config
from emdist.store.labels.check import damaged_blocks, is_labelled
from emdist.store.labels.creation import label_writer
from emdist.store.labels.layouts import RowLayout, layout_of_plan
from emdist.store.labels.place import Wanted, check_place, label_mark
from emdist.store.labels.writer import LabelWriter
from emdist.store.places.files_local import LocalFolder
from emdist.store.places.location import Location, open_zarr_store
from emdist.store.runs.run_record import RESULT
from emdist.store.sources.zarr_source import ZarrSource
from emdist.sums import Sums
from tests.support.paths import environment

ALL = ("labels", "score", "responsibilities")
WHO = {"model": "m", "data": "d"}


def tree(path: Path) -> dict[str, str]:
    files = (p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def block(index: int, start: int, rows: int, mask: Any = None) -> Block:
    return Block(index, start, np.zeros((rows, 2)), None, mask)


def assigned(start: int, rows: int, k: int = 3) -> Assigned:
    at = np.arange(start, start + rows)
    resp = (at[:, None] + np.arange(k)).astype("f4")
    return Assigned((at % k).astype("i4"), at / 7, resp)


def sums(i: int, k: int = 3) -> Sums:
    return Sums({"score": np.array(i / 3), "weight": np.array(1.0 + i), "count": np.arange(k) + i})


def fill(writer: LabelWriter) -> None:
    """All blocks, on four threads: whole chunks never meet."""

    def one(i: int) -> None:
        a, b = writer.bounds[i : i + 2]
        k = writer.n_components
        writer.write(block(i, a, b - a), assigned(a, b - a, k), sums(i, k))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, reversed(range(len(writer.bounds) - 1))))


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    # A bucket of its own: obstore's memory store knows no prefix.
    local = request.param == "local"
    return Location(str(tmp_path / "out") if local else f"memory://{tmp_path.name}-labels")


def group(place: Location) -> zarr.Group:
    return zarr.open_group(open_zarr_store(place), mode="r")


# ---- what is written


def test_blocks_written_at_once_give_every_row(place: Location) -> None:
    bounds = (0, 40, 80, 120, 133)
    writer = label_writer(place, ALL, bounds, 3, WHO)
    assert [writer.done(i) for i in range(4)] == [None] * 4
    assert not is_labelled(place)
    fill(writer)
    got, wanted = group(place), assigned(0, 133)
    assert np.array_equal(got["labels"][:], wanted.labels)  # type: ignore[index]
    assert np.array_equal(got["score"][:], wanted.score)  # type: ignore[index]
    assert np.array_equal(got["responsibilities"][:], wanted.resp)  # type: ignore[index,arg-type]
    assert is_labelled(place)
    again = label_writer(place, ALL, bounds, 3, WHO)
    for i in range(4):
        found = again.done(i)
        assert found is not None
        assert found.equals(sums(i))


def test_dimensions_and_dtypes_are_those_that_xarray_reads(tmp_path: Path) -> None:
    writer = label_writer(Location(str(tmp_path / "out")), ALL, (0, 40, 50), 3, WHO)
    fill(writer)
    # Nothing but zarr and the path is needed to read them.
    got = {name: zarr.open_array(tmp_path / "out" / name, mode="r") for name in ALL}
    dims = {name: array.metadata.dimension_names for name, array in got.items()}  # type: ignore[union-attr]
    assert dims == {
        "labels": ("row",),
        "score": ("row",),
        "responsibilities": ("row", "component"),
    }
    assert {name: array.dtype.str for name, array in got.items()} == {
        "labels": "<i4",
        "score": "<f8",
        "responsibilities": "<f4",
    }
    assert got["labels"].fill_value == -1
    assert got["responsibilities"].chunks == (40, 3)


def test_rows_that_do_not_count_have_no_label(place: Location) -> None:
    writer = label_writer(place, ALL, (0, 6, 12), 3, WHO)
    mask = np.array([True, False, True, True, False, False])
    writer.write(block(0, 0, 6, mask), assigned(0, 3), sums(0))
    writer.write(block(1, 6, 6, np.zeros(6, bool)), assigned(0, 0), sums(1))
    got = group(place)
    assert got["labels"][:].tolist() == [0, -1, 1, 2, -1, -1] + [-1] * 6  # type: ignore[index]
    assert np.isnan(got["score"][:]).tolist() == [*~mask] + [True] * 6  # type: ignore[index]
    assert np.isnan(got["responsibilities"][:]).all(axis=1).tolist() == [*~mask] + [True] * 6  # type: ignore[index]
    assert writer.done(1) is not None


@pytest.mark.parametrize("rows", [1, 40, 4_194_304, 4_194_319, 3 * 4_194_319, 20_000_003, 2**26])
@pytest.mark.parametrize("blocks", [1, 3])
def test_an_output_chunk_never_belongs_to_two_blocks(rows: int, blocks: int) -> None:
    bounds = tuple(rows * i for i in range(blocks + 1))
    (chunk,) = layout_of_plan(bounds).chunks
    assert all(a % chunk == 0 for a in bounds[:-1])
    assert -(-rows // chunk) <= 16 * -(-rows // (1 << 22)), "millions of small chunks"
    if blocks == 1:
        assert chunk <= 1 << 22


# ---- lost, torn and half-written outputs


@pytest.mark.parametrize("name", ["labels/c/1", "responsibilities/c/1/0", "progress/c/1/0"])
@pytest.mark.parametrize("damage", ["torn", "empty", "lost"])
def test_a_damaged_chunk_is_written_again(tmp_path: Path, name: str, damage: str) -> None:
    place = Location(str(tmp_path / "out"))
    writer = label_writer(place, ALL, (0, 40, 80, 100), 3, WHO)
    fill(writer)
    path = tmp_path / "out" / name
    raw = path.read_bytes()
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(raw[: len(raw) // 2] if damage == "torn" else b"")
    again = label_writer(place, ALL, (0, 40, 80, 100), 3, WHO)
    assert [again.done(i) is not None for i in range(3)] == [True, False, True]
    again.write(block(1, 40, 40), assigned(40, 40), sums(1))
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    "names",
    [("labels/c/1",), ("score/c/1",), ("responsibilities/c/1/0",), ("progress/c/1/0",),
     ("labels/c/1", "score/c/1", "responsibilities/c/1/0", "progress/c/1/0")],
)  # fmt: skip
@pytest.mark.parametrize("whose", ["another run's", "another block's"])
def test_chunks_of_other_labels_are_noticed_and_written_again(
    tmp_path: Path, names: tuple[str, ...], whose: str
) -> None:
    """Each has a right checksum; together they even go with each other."""
    bounds, other = (0, 40, 80, 120), tmp_path / "other"
    place = Location(str(tmp_path / "out"))
    fill(label_writer(place, ALL, bounds, 3, WHO))
    before = tree(tmp_path / "out")
    if whose == "another run's":
        writer = label_writer(Location(str(other)), ALL, bounds, 3, {"model": "n", "data": "d"})
        writer.write(block(1, 40, 40), assigned(41, 40), sums(3))
    for name in names:
        theirs = other / name
        if whose == "another block's":
            theirs = tmp_path / "out" / name.replace("/c/1", "/c/2")
        shutil.copyfile(theirs, tmp_path / "out" / name)
    assert tree(tmp_path / "out") != before
    assert list(damaged_blocks(place)) == [1]
    assert not is_labelled(place)
    assert inspect(place, verify=True)["blocks_damaged"] == [1]
    assert "blocks_damaged" not in inspect(place)
    again = label_writer(place, ALL, bounds, 3, WHO)
    assert [again.done(i) is None for i in range(3)] == [False, True, False]
    again.write(block(1, 40, 40), assigned(40, 40), sums(1))
    assert tree(tmp_path / "out") == before
    assert is_labelled(place)


def test_labels_of_a_version_without_digests_are_told_and_started_over(tmp_path: Path) -> None:
    place = Location(str(tmp_path / "out"))
    fill(label_writer(place, ("labels",), (0, 40, 80), 3, WHO))
    meta = tmp_path / "out" / "zarr.json"
    raw = json.loads(meta.read_text())
    del raw["attributes"]["emdist"]["digest"]
    meta.write_text(json.dumps(raw))
    progress = zarr.open_array(tmp_path / "out" / "progress", mode="r")[:]
    zarr.create_array(
        tmp_path / "out" / "progress", shape=(2, 5), chunks=(1, 5), dtype="f8", overwrite=True
    )[:] = np.asarray(progress)[:, :5]
    assert inspect(place)["blocks_done"] == 2
    with pytest.raises(CheckpointError, match="no digests"):
        inspect(place, verify=True)
    with pytest.raises(RunMismatchError, match="no digests"):
        check_place(place, Wanted(WHO, ("labels",)))
    assert check_place(place, Wanted(WHO, ("labels",), overwrite=True)) == "replace"


class Cut(BaseException):
    """Ends a writer as a kill would."""


def cut_off(delete: Any, at: str) -> Any:
    """`delete` until the name `at` comes."""

    def until(folder: LocalFolder, name: str) -> None:
        if name == at:
            raise Cut
        delete(folder, name)

    return until


@pytest.mark.parametrize("cut", ["mark", "first file", "remove"])
def test_a_writer_killed_while_creating_or_replacing(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, path = Location(str(tmp_path / "out")), tmp_path / "out"
    if cut == "first file":
        path.mkdir()
        (path / f"zarr.{'0123456789abcdef' * 2}.partial").write_text('{"attri')
    else:
        fill(label_writer(place, ("labels",), (0, 40, 80), 3, WHO))
        if cut == "mark":
            raw = json.loads((path / "zarr.json").read_text())
            raw["attributes"]["emdist"]["created"] = False
            (path / "zarr.json").write_text(json.dumps(raw))
        else:
            monkeypatch.setattr(LocalFolder, "delete", cut_off(LocalFolder.delete, "score"))
            with pytest.raises(Cut):
                label_writer(place, ("score",), (0, 40, 80), 3, WHO, overwrite=True)
            monkeypatch.undo()
            assert not (path / "labels").exists()
    writer = label_writer(place, ("labels", "score"), (0, 40, 80), 3, WHO)
    assert [writer.done(i) for i in range(2)] == [None, None]
    fill(writer)
    assert is_labelled(place)


@pytest.mark.long
def test_what_killed_writers_left_is_removed_and_nothing_that_is_in_use(
    tmp_path: Path, data: Path, run: Path
) -> None:
    """The child dies between the writing of a chunk and its renaming."""
    out = tmp_path / "out"
    code = """
import os, signal, sys
from pathlib import Path
from emdist.settings.config import ClusterSection, DataSection
from emdist.jobs.label import label_data
from emdist.store.places.location import Location
_replace, done = Path.replace, []
def replace(self, target):
    if self.name.endswith(".partial") and "/c/" in str(self):
        done.append(self)
        if len(done) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    return _replace(self, target)
Path.replace = replace
section = DataSection(path=sys.argv[1], block_size="9600 B")
label_data(Location(sys.argv[2]), section, Location(sys.argv[3]), ClusterSection(threads=1))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(data), str(run), str(out)], check=False,
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    (left,) = out.rglob("*.partial")
    used = out / "labels/c" / f"9.{'0' * 32}.partial"
    others = [out / "labels/c/notes.partial", tmp_path / f"1.{'0' * 32}.partial"]
    for path in (used, *others):
        path.write_text("x")

    def write_on(event: Event) -> None:
        if isinstance(event, Progress) and event.done:
            used.write_text("x" * (event.done + 1))

    section = DataSection(path=str(data), block_size="9600 B")
    one = ClusterSection(threads=1)  # type: ignore[call-arg]
    label_data(Location(str(run)), section, Location(str(out)), one, listen=write_on)
    assert not left.exists()
    assert used.exists()
    assert all(path.exists() for path in others)
    assert np.array_equal(opened(out)["labels"], opened(run / "labels.zarr")["labels"])


# ---- whose labels


def test_labels_of_another_model_are_refused_and_left_alone(
    place: Location, tmp_path: Path
) -> None:
    fill(label_writer(place, ("labels",), (0, 40, 80), 3, WHO))
    before = tree(tmp_path), group(place)["labels"][:].tolist()  # type: ignore[index]
    with pytest.raises(RunMismatchError, match=r"another model.*Nothing was changed.*overwrite"):
        label_writer(place, ("labels",), (0, 40, 80), 3, {"model": "other", "data": "d"})
    assert (tree(tmp_path), group(place)["labels"][:].tolist()) == before  # type: ignore[index]


def test_overwriting_replaces_shapes_and_chunks_too(place: Location) -> None:
    fill(label_writer(place, ALL, (0, 40, 80), 3, WHO))
    # In the same process, which has the old arrays open: a worker that outlives a run.
    other = label_writer(place, ALL, (0, 30, 60, 75), 5, {"model": "other"}, overwrite=True)
    assert [other.done(i) for i in range(3)] == [None] * 3
    fill(other)
    got = group(place)
    assert np.array_equal(got["labels"][:], assigned(0, 75, 5).labels)  # type: ignore[index]
    assert np.array_equal(got["responsibilities"][:], assigned(0, 75, 5).resp)  # type: ignore[index,arg-type]
    assert sorted(name for name, _ in got.arrays()) == sorted([*ALL, "progress"])


def test_other_blocks_of_the_same_model_are_refused_unless_overwritten(place: Location) -> None:
    fill(label_writer(place, ("labels",), (0, 40, 80), 3, WHO))
    same = Wanted(WHO, ("labels",), False, layout_of_plan((0, 40, 80)), 3)
    assert check_place(place, same) == "continue"
    smaller = Wanted(WHO, ("labels",), False, layout_of_plan((0, 20, 40, 60, 80)), 3)
    with pytest.raises(RunMismatchError, match=r"blocks of 40 rows.*now have 20.*data\.block_size"):
        check_place(place, smaller)
    assert np.array_equal(group(place)["labels"][:], assigned(0, 80).labels)  # type: ignore[index]
    writer = label_writer(place, ("labels",), (0, 20, 40, 60, 80), 3, WHO, overwrite=True)
    assert [writer.done(i) for i in range(4)] == [None] * 4
    fill(writer)
    assert np.array_equal(group(place)["labels"][:], assigned(0, 80).labels)  # type: ignore[index]


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ((90, 40, 3), ["they have 80 rows, and the data now has 90"]),
        ((80, 40, 5), ["they are of 3 components, and the model now has 5"]),
        (
            (80, 20, 3),
            ["they are in blocks of 40 rows, and the blocks now have 20"],
        ),
        ((90, 20, 5), ["80 rows", "blocks of 40 rows", "3 components"]),
    ],
)
def test_a_refusal_names_each_difference_of_the_layout_and_no_other(
    place: Location, layout: tuple[int, ...], said: list[str]
) -> None:
    fill(label_writer(place, ("labels",), (0, 40, 80), 3, WHO))
    wanted = Wanted(WHO, ("labels",), False, RowLayout(layout[0], layout[1]), layout[2])
    with pytest.raises(RunMismatchError) as told:
        check_place(place, wanted)
    text = str(told.value)
    assert all(part in text for part in said)
    assert ("data.block_size" in text) == (layout[1] != 40)
    assert ("components" in text) == (layout[2] != 3)
    assert ("the data now has" in text) == (layout[0] != 80)


def test_outputs_that_are_asked_for_later_are_added_to_those_there(place: Location) -> None:
    """At no time is a label that was written not there; and what was written goes on."""
    bounds = (0, 40, 80)
    first = label_writer(place, ("labels",), bounds, 3, WHO)
    fill(first)
    first.finish()
    assert (label_mark(place) or {})["complete"] is True
    writer = label_writer(place, ("score",), bounds, 3, WHO)
    assert writer.outputs == ("labels", "score")
    assert (label_mark(place) or {})["complete"] is False
    assert np.array_equal(group(place)["labels"][:], assigned(0, 80).labels)  # type: ignore[index]
    writer.write(block(0, 0, 40), assigned(0, 40), sums(0))
    assert np.array_equal(group(place)["labels"][:], assigned(0, 80).labels)  # type: ignore[index]
    # Cut off there: started again for either of them, it goes on for both.
    again = label_writer(place, ("labels",), bounds, 3, WHO)
    assert again.outputs == ("labels", "score")
    assert [again.done(i) is None for i in range(2)] == [False, True]
    again.write(block(1, 40, 40), assigned(40, 40), sums(1))
    again.finish()
    assert is_labelled(place)
    assert np.array_equal(group(place)["score"][:], assigned(0, 80).score)  # type: ignore[index]
    # Allowed to overwrite, the same is asked for and nothing else.
    only = label_writer(place, ("score",), bounds, 3, WHO, overwrite=True)
    assert sorted(name for name, _ in group(place).arrays()) == ["progress", "score"]
    assert only.outputs == ("score",)


def test_labels_by_other_policies_are_no_labels_to_go_on_with(place: Location) -> None:
    def asked(non_finite: str) -> str:
        return check_place(place, Wanted(WHO, ("labels",), policies={"non_finite": non_finite}))

    strict = label_writer(place, ("labels",), (0, 40, 80), 3, WHO, policies={"non_finite": "raise"})
    strict.write(block(0, 0, 40), assigned(0, 40), sums(0))
    assert asked("drop") == asked("missing") == asked("raise") == "continue"
    policies = {"non_finite": "drop"}
    dropping = label_writer(place, ("labels",), (0, 40, 80), 3, WHO, policies=policies)
    assert [dropping.done(i) is None for i in range(2)] == [False, True]
    assert asked("drop") == "continue"
    for other in ("raise", "missing"):
        with pytest.raises(RunMismatchError, match=f"non_finite: drop, and non_finite: {other}"):
            asked(other)


@pytest.mark.parametrize("what", ["file", "folder", "zarr array", "zarr group"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_emdist_did_not_write_is_never_touched(
    tmp_path: Path, what: str, overwrite: bool
) -> None:
    path = tmp_path / "out"
    if what == "file":
        path.write_text("precious")
    elif what == "folder":
        path.mkdir()
        (path / "labels").write_text("precious")
        (path / f"zarr.{'0' * 32}.partial").write_text("looks like ours")
    elif what == "zarr array":
        zarr.create_array(path, shape=(4,), chunks=(2,), dtype="f4")[:] = 1
    else:
        zarr.create_group(path).create_array("labels", shape=(4,), chunks=(2,), dtype="i4")
    before = tree(tmp_path)
    with pytest.raises((OutputExistsError, StorageError)):
        label_writer(Location(str(path)), ("labels",), (0, 40, 80), 3, WHO, overwrite=overwrite)
    assert tree(tmp_path) == before


def test_unknown_outputs_and_uneven_blocks_are_refused(tmp_path: Path) -> None:
    place = Location(str(tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"'label'.*choose from labels, score"):
        label_writer(place, ("label",), (0, 40), 3, WHO)
    with pytest.raises(ConfigError, match="the same number of rows"):
        label_writer(place, ("labels",), (0, 40, 70, 110), 3, WHO)
    assert not (tmp_path / "out").exists()


# ---- through a job


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4,000 rows in four clusters, ten chunks."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 4, (4, 3))[rng.integers(0, 4, 4000)] + rng.normal(size=(4000, 3))
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    array = zarr.create_array(path, shape=x.shape, chunks=(400, 3), dtype="float64")
    array[:] = x
    return path


def configured(path: Path, folder: Path, **sections: Any) -> Any:
    values: dict[str, dict[str, Any]] = {
        "data": {"path": str(path), "block_size": "9600 B"},
        "model": {"name": "full", "n_components": 4},
        "run": {"folder": str(folder), "key": "r"},
        "labels": {"outputs": list(ALL)},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    return make_config(values)


def complete(config: Any) -> Any:
    with open_job(config) as job:
        return job.complete() if isinstance(job, Job) else None


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    complete(configured(data, folder))
    return folder / "r"


def opened(path: Path) -> dict[str, Any]:
    return {name: array[:] for name, array in zarr.open_group(path, mode="r").arrays()}


def test_the_labels_of_a_job_are_those_of_predict(data: Path, run: Path) -> None:
    x = zarr.open_array(data, mode="r")[:]
    model = emdist.load(run)
    got = opened(run / "labels.zarr")
    assert np.array_equal(got["labels"], model.predict(x))
    assert np.allclose(got["responsibilities"], model.predict_proba(x), rtol=0, atol=1e-6)
    assert np.allclose(got["score"], model.score_samples(x), rtol=1e-12)
    assert got["progress"].shape == (10, 3 + 4)
    assert np.allclose(got["progress"][:, 0].sum(), got["score"].sum())
    labels = zarr.open_array(run / "labels.zarr/labels", mode="r")
    assert labels.chunks == (400,)
    assert labels.nchunks_initialized == labels.nchunks == 10


def test_labels_of_kmeans_are_those_of_the_estimator(data: Path, tmp_path: Path) -> None:
    complete(configured(data, tmp_path, model={"name": "kmeans"}, labels={"outputs": ["labels"]}))
    model = emdist.load(tmp_path / "r")
    got = opened(tmp_path / "r/labels.zarr")["labels"]
    assert np.array_equal(got, model.predict(str(data)))


def test_only_blocks_without_labels_are_read_again(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "labels.zarr"
    section = DataSection(path=str(data), block_size="9600 B")
    label_data(Location(str(run)), section, Location(str(out)), outputs=ALL)
    wanted = tree(out)
    read: list[int] = []
    plain = ZarrSource.read
    monkeypatch.setattr(ZarrSource, "read", lambda self, i: (read.append(i), plain(self, i))[1])
    (out / "progress/c/3/0").unlink()
    (out / "labels/c/7").write_bytes(b"torn")
    (out / "score/c/8").unlink()
    found = label_data(Location(str(run)), section, Location(str(out)), outputs=ALL)
    assert sorted(read) == [3, 7, 8]
    assert tree(out) == wanted
    assert found["rows"] == 4000
    assert sum(found["components"]) == pytest.approx(4000)


def test_labelling_with_other_blocks_gives_the_same_labels(
    data: Path, run: Path, tmp_path: Path
) -> None:
    for size in ("9600 B", "28800 B"):
        out = tmp_path / f"{size}.zarr"
        section = DataSection(path=str(data), block_size=size)
        found = label_data(Location(str(run)), section, Location(str(out)), outputs=ALL)
        assert found["rows"] == 4000
        for name, values in opened(run / "labels.zarr").items():
            if name != "progress":
                assert np.array_equal(opened(out)[name], values)
    # Asked for one of the outputs: the others stay, and nothing is to be done.
    before = tree(out)
    found = label_data(Location(str(run)), section, Location(str(out)))
    assert (tree(out), found["outputs"]) == (before, list(ALL))


@pytest.mark.parametrize("place", ["run", "final", "copy", "of an earlier version"])
@pytest.mark.parametrize("non_finite", ["drop", "missing"])
def test_labelling_reads_new_rows_as_the_model_s_own(
    non_finite: str, place: str, tmp_path: Path
) -> None:
    """The right labels, from the policies of the run, unless others are given."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(900, 2)) + rng.integers(0, 2, (900, 1)) * 8
    x[[5, 450], 1] = np.nan
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    (path / "c/7/0").unlink()
    policies = {"missing_chunks": "drop", "non_finite": non_finite, "block_size": "3200 B"}
    complete(configured(path, tmp_path, data=policies, model={"n_components": 2}))
    wanted = opened(tmp_path / "r/labels.zarr")
    model = tmp_path / "r"
    if place == "copy":
        model = Path(shutil.copytree(tmp_path / "r/final", tmp_path / "model"))
    elif place != "run":
        model = tmp_path / "r/final"
    if place == "of an earlier version":
        section, fitted, _ = load_fitted(Location(str(model)))
        save_fitted(Location(str(model)), section, fitted, {})
        # Earlier versions did not note in run.json which models are the run's.
        record = json.loads((tmp_path / "r/run.json").read_text())
        (tmp_path / "r/run.json").write_text(
            json.dumps({k: v for k, v in record.items() if k != RESULT})
        )
    if place != "copy" or non_finite == "missing":
        assert emdist.load(model).non_finite == non_finite
    out = tmp_path / "out"
    found = label_data(
        Location(str(model)), NewDataSection(path=str(path)), Location(str(out)), outputs=ALL
    )
    for name in ALL:
        assert np.array_equal(opened(out)[name], wanted[name], equal_nan=True)
    left_out = 100 if non_finite == "missing" else 102
    assert found["rows_left_out"] == left_out == np.sum(wanted["labels"] == -1)
    assert sum(found["components"]) == 900 - left_out
    assert all(isinstance(count, int) for count in found["components"])
    shown = inspect(Location(str(out)), verify=True)
    assert (shown["complete"], shown["blocks_done"], shown["blocks_damaged"]) == (True, 5, [])
    assert (label_mark(Location(str(out))) or {})["complete"] is True
    strict = NewDataSection(path=str(path), non_finite="raise")
    with pytest.raises(NonFiniteError):
        label_data(Location(str(model)), strict, Location(str(tmp_path / "strict")))
    told = inspect(Location(str(tmp_path / "strict")), verify=True)
    assert told["complete"] is False
    assert faults(told)
    assert (label_mark(Location(str(tmp_path / "strict"))) or {})["complete"] is False


def test_other_outputs_of_a_finished_run_are_added(data: Path, tmp_path: Path) -> None:
    complete(configured(data, tmp_path, labels={"outputs": ["labels"]}))
    before = tree(tmp_path / "r/labels.zarr/labels")
    complete(configured(data, tmp_path, labels={"outputs": ["score"]}))
    assert tree(tmp_path / "r/labels.zarr/labels") == before
    assert sorted(opened(tmp_path / "r/labels.zarr")) == ["labels", "progress", "score"]
    assert is_labelled(Location(str(tmp_path / "r/labels.zarr")))
    assert complete(configured(data, tmp_path, labels={"outputs": ["labels"]})) is None, "done"


def test_a_run_whose_labels_are_not_complete_is_not_verified(data: Path, tmp_path: Path) -> None:
    complete(configured(data, tmp_path))
    run = Location(str(tmp_path / "r"))
    assert faults(inspect(run, verify=True)) == []
    (tmp_path / "r/labels.zarr/progress/c/4/0").unlink()
    told = inspect(run, verify=True)
    assert (told["labels_complete"], told["blocks_damaged"]) == (False, [])
    assert "labels are not complete" in faults(told)[0]


def test_deleted_labels_of_a_finished_run_are_made_again(data: Path, tmp_path: Path) -> None:
    config = configured(data, tmp_path)
    complete(config)
    wanted = tree(tmp_path / "r/labels.zarr")
    assert complete(config) is None, "done"
    # A second labelling that was killed in its middle: not done, though there is a summary.
    (tmp_path / "r/labels.zarr/progress/c/4/0").unlink()
    (tmp_path / "r/labels.zarr/labels/c/4").unlink()
    assert complete(config) is not None
    assert tree(tmp_path / "r/labels.zarr") == wanted
    shutil.rmtree(tmp_path / "r/labels.zarr")
    assert complete(config) is not None
    assert tree(tmp_path / "r/labels.zarr") == wanted


def test_rows_left_out_by_policy_have_no_label_in_a_job(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(900, 2)) + rng.integers(0, 2, (900, 1)) * 8
    x[[5, 450], 1] = np.nan
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=x.shape, chunks=(100, 2), dtype="f8")[:] = x
    (path / "c/7/0").unlink()
    policies = {"missing_chunks": "drop", "non_finite": "drop", "block_size": "3200 B"}
    complete(configured(path, tmp_path, data=policies, model={"n_components": 2}))
    got = opened(tmp_path / "r/labels.zarr")
    left_out = sorted({5, 450, *range(700, 800)})
    assert np.flatnonzero(got["labels"] == -1).tolist() == left_out
    assert np.flatnonzero(np.isnan(got["score"])).tolist() == left_out
    assert np.isnan(got["responsibilities"][left_out]).all()
    assert set(got["labels"]) == {-1, 0, 1}


# ---- a disk that is full

LIMITED = """
import resource, signal, sys
from emdist.cli.application import app
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
app()
"""


@pytest.mark.long
def test_a_disk_that_is_full_while_labelling_is_told_and_survived(
    data: Path, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.zarr"
    command = ["label", str(run), str(data), str(out), "-o", "responsibilities", "--quiet"]
    command += ["--set", "data.block_size=9600 B"]
    env = environment()

    def start(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", LIMITED, str(limit), *command],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    # Enough for the metadata of the group, and not for a chunk.
    full = start(5000)
    assert full.returncode == 5, full.stderr
    assert "cannot write the labels of block" in full.stderr
    assert "ulimit -f" in full.stderr
    assert "start again" in full.stderr
    # Disks fill up half-way: some blocks are done and stay so.
    done = start(resource.RLIM_INFINITY)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(
        opened(out)["responsibilities"], opened(run / "labels.zarr")["responsibilities"]
    )
    assert not list(out.rglob("*.partial"))


def test_a_small_disk_that_fills_up_half_way(data: Path, run: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        section = DataSection(path=str(data), block_size="9600 B")
        one = ClusterSection(threads=1)  # type: ignore[call-arg]
        place = Location(str(disk / "labels.zarr"))
        with pytest.raises(StorageError, match=r"disk is full.*start again"):
            label_data(Location(str(run)), section, place, one, ALL)
        done = sum(a.exists() for a in (disk / f"labels.zarr/progress/c/{i}/0" for i in range(10)))
        assert 0 < done < 10
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        label_data(Location(str(run)), section, place, one, ALL)
        wanted = opened(run / "labels.zarr")
        for name, values in opened(disk / "labels.zarr").items():
            if name == "progress":  # whose digests say that these are not the run's own labels
                values[:, 2] = wanted[name][:, 2]
            assert np.array_equal(values, wanted[name])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_model_of_a_run_is_what_labels_are_held_to(data: Path, run: Path) -> None:
    section, fitted, _ = load_fitted(Location(str(run)))
    assert section.name == "full"
    assert fitted.n_components == 4
    mark: Mapping[str, Any] | None = label_mark(Location(str(run / "labels.zarr")))
    assert mark is not None
    assert mark["layout"] == [4000, 400, 4]
    assert set(mark["identity"]) == {"config", "data"}
