"""Runs as things: listed, shown, compared and deleted, among the worst that a folder can hold."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.metrics import adjusted_rand_score

import emdist
from emdist.composition.sweep_config import make_sweep_config
from emdist.errors import (
    CheckpointError,
    CollapseError,
    ConfigError,
    EmdistError,
    NotFoundError,
    RunError,
    RunFencedError,
    StorageError,
)
from emdist.jobs.inspect import inspect
from emdist.jobs.job import Job
from emdist.jobs.label import label_data
from emdist.jobs.records import load_fitted
from emdist.jobs.run import open_job
from emdist.jobs.runs.comparing import compare_runs
from emdist.jobs.runs.described import STATES, RunInfo
from emdist.jobs.runs.listing import RunFilter, list_runs
from emdist.jobs.runs.removal import KeptParts, expired_in, removal_of, removals_in, remove
from emdist.jobs.runs.showing import show_run
from emdist.report.runs import (
    page_of_comparison,
    page_of_run,
    page_of_runs,
    pages_of_matches,
)
from emdist.settings.config import DataSection, make_config
from emdist.store.places.files import open_folder
from emdist.store.places.files_local import LocalFolder
from emdist.store.places.location import Location
from emdist.store.runs import deletion, owners
from emdist.store.runs.run_folder import TOMBSTONE

KEPT = sorted((Path(__file__).parents[1] / "kept").glob("*.tar.xz"))
HOUR = 3600.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 200, axis=0)
    zarr.create_array(path, shape=x.shape, chunks=(200, 2), dtype="f8")[:] = x
    return path


def values(data: Path, runs: Path | str, key: str, **sections: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "data": {"path": str(data)},
        "model": {"name": "kmeans", "n_components": 3},
        "fit": {},
        "cluster": {"kind": "threads", "threads": 1},
        "run": {"folder": str(runs), "key": key, "checkpoint_iterations": 1},
    }
    return found | {name: {**found.get(name, {}), **one} for name, one in sections.items()}


def complete(config: dict[str, Any]) -> None:
    make = make_sweep_config if "sweep" in config else make_config
    with open_job(make(config)) as job:
        if isinstance(job, Job):
            job.complete()


def begin(config: dict[str, Any], segments: int = 1) -> None:
    """Fit for some iterations, and then fail."""
    with suppress(KeyboardInterrupt), open_job(make_config(config)) as job:
        assert isinstance(job, Job)
        job.survey()
        for _ in range(segments):
            job.segment()
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one that reached max_iter, a sweep and an interrupted run."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    complete(values(data, runs, "kmeans"))
    complete(values(data, runs, "short", model={"name": "full"}, fit={"max_iter": 1, "tol": 0.0}))
    complete(values(data, runs, "sweep", sweep={"n_components": [2, 3]}))
    begin(values(data, runs, "cut", model={"name": "full"}, fit={"tol": 0.0}))
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "runs")
    for summary in (tmp_path / "runs").glob("*/summary.json"):
        text = summary.read_text()  # Their digests cover the paths, which stay those of `made`.
        assert str(made) in text
    return tmp_path / "runs"


def listed(runs: Path, wanted: RunFilter | None = None) -> dict[str, RunInfo]:
    return {info.key: info for info in list_runs(Location(str(runs)), wanted)[0]}


def age(run: Path, seconds: float) -> None:
    """Let all files of a run be older."""
    then = time.time() - seconds
    for path in [run, *run.rglob("*")]:
        os.utime(path, (then, then))


# --- what is listed ------------------------------------------------------------------------------


def test_runs_are_listed_with_what_they_fit_and_how_they_ended(runs: Path, data: Path) -> None:
    found = listed(runs)
    assert {key: one.state for key, one in found.items()} == {
        "kmeans": "finished", "short": "max_iter", "sweep": "finished", "cut": "interrupted",
    }  # fmt: skip
    one = found["kmeans"]
    assert (one.kind, one.model, one.k, one.data, one.rows) == ("run", "kmeans", 3, str(data), 600)
    summary = json.loads((runs / "kmeans/summary.json").read_text())["result"]
    assert (one.iterations, one.objective) == (summary["iterations"], summary["final"])
    assert one.bytes == sum(p.stat().st_size for p in (runs / "kmeans").rglob("*") if p.is_file())
    assert one.started
    assert one.ended
    assert one.started <= one.ended
    sweep = found["sweep"]
    assert (sweep.kind, sweep.k, sweep.why) == ("sweep", [2, 3], "best: kmeans-3")
    cut = found["cut"]
    assert cut.iterations == 1
    state = inspect(Location(str(runs / "cut")))["history"][0]
    assert f"objective {cut.objective:.10g}" in state


def test_no_state_of_a_checkpoint_is_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = LocalFolder.read

    def noted(self: LocalFolder, name: str, limit: int | None = None) -> bytes:
        read.append(f"{self.location.name}/{name}")
        return whole(self, name, limit)

    monkeypatch.setattr(LocalFolder, "read", noted)
    listed(runs)
    assert read
    assert not [name for name in read if name.endswith(".safetensors")]
    assert len(read) <= 4 * 4


def test_the_newest_run_comes_first_and_conditions_leave_runs_out(runs: Path) -> None:
    for at, key in enumerate(("short", "sweep", "cut", "kmeans")):
        path = runs / key / "run.json"
        record = json.loads(path.read_text()) | {"created": f"2026-01-0{at + 1}T00:00:00+00:00"}
        path.write_text(json.dumps(record))
    assert [*listed(runs)] == ["kmeans", "cut", "sweep", "short"]
    age(runs / "cut", 10 * HOUR)
    assert [*listed(runs, RunFilter(older=9 * HOUR))] == ["cut"]
    assert [*listed(runs, RunFilter(states=["max_iter"]))] == ["short"]
    assert {*listed(runs, RunFilter(model="km*"))} == {"kmeans", "sweep"}
    with pytest.raises(ConfigError, match=r"'finishd' is no state.*did you mean 'finished'"):
        RunFilter(states=["finishd"])


def test_a_run_at_work_is_told_from_one_that_was_killed(data: Path, tmp_path: Path) -> None:
    pid = os.fork()
    config = values(data, tmp_path, "r", model={"name": "full"}, fit={"tol": 0.0})
    if pid == 0:
        try:
            with open_job(make_config(config)) as job:
                assert isinstance(job, Job)
                job.survey()
                job.segment()
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert listed(tmp_path)["r"].state == "interrupted"
    with open_job(make_config(config)) as job:
        one = listed(tmp_path)["r"]
        assert one.state == "running"
        assert str(os.getpid()) in one.why
        assert isinstance(job, Job)
        job.complete()
    assert listed(tmp_path)["r"].state == "max_iter"


def test_an_owner_on_another_machine_is_unclear_until_the_run_is_complete(runs: Path) -> None:
    for key in ("cut", "kmeans"):
        owner = runs / key / "owners/00000001.json"
        told = json.loads(owner.read_text()) | {"machine": "ffffffff", "host": "elsewhere"}
        told["time"] = "2026-01-01T00:00:00+00:00"
        owner.write_text(json.dumps({k: v for k, v in told.items() if k != "ended"}))
    found = listed(runs)
    assert found["cut"].state == "unclear"
    assert "elsewhere" in found["cut"].why
    assert found["kmeans"].state == "finished"
    later = json.loads((runs / "kmeans/owners/00000001.json").read_text())
    later["time"] = "2126-01-01T00:00:00+00:00"
    (runs / "kmeans/owners/00000002.json").write_text(json.dumps(later))
    assert listed(runs)["kmeans"].state == "unclear", "it was started again after it was complete"
    beat = runs / "kmeans/owners/00000002.beat"
    beat.touch()
    assert listed(runs)["kmeans"].state == "running", "its owner lives, wherever that is"
    age(beat, 2 * HOUR)
    assert listed(runs)["kmeans"].state == "finished"


def test_the_error_that_ended_a_run_is_told(data: Path, tmp_path: Path) -> None:
    failing = values(data, tmp_path, "r")
    with pytest.raises(CollapseError), open_job(make_config(failing)):
        raise CollapseError("component 2 lost all of its rows")
    one = listed(tmp_path)["r"]
    assert one.state == "collapsed"
    assert "component 2 lost all of its rows" in one.why
    with pytest.raises(ZeroDivisionError), open_job(make_config(failing)):
        raise ZeroDivisionError("s3://user:password@host")
    one = listed(tmp_path)["r"]
    assert (one.state, one.why) == ("failed", "ZeroDivisionError")


# --- the worst -----------------------------------------------------------------------------------


def _broken_json(run: Path) -> None:
    (run / "run.json").write_text('{"format": 1, "config": ')


def _no_object(run: Path) -> None:
    (run / "run.json").write_text("[[[[" * 100_000)


def _newer(run: Path) -> None:
    (run / "run.json").write_text('{"format": 99}')


def _edited(run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace('"n_components": 3', '"n_components": 4'))


def _without_sections(run: Path) -> None:
    (run / "run.json").write_text('{"format": 1, "config": {"data": 3}}')


def _a_folder(run: Path) -> None:
    (run / "run.json").unlink()
    (run / "run.json").mkdir()
    (run / "run.json/x").touch()


def _no_record(run: Path) -> None:
    (run / "run.json").unlink()


def _a_pipe(run: Path) -> None:
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")


def _huge(run: Path) -> None:
    with (run / "run.json").open("r+b") as file:
        file.truncate(1 << 34)


def _odd_owner(run: Path) -> None:
    (run / "owners/00000001.json").write_text('{"format": 1, "pid": "x", "time": 3}')
    (run / "summary.json").unlink()


def _odd_summary(run: Path) -> None:
    (run / "summary.json").write_text("null")
    shutil.rmtree(run / "ckpt")


@pytest.mark.parametrize(
    ("damage", "state", "why"),
    [
        (_broken_json, "damaged", "not JSON"),
        (_no_object, "damaged", "not JSON"),
        (_newer, "damaged", "newer version"),
        (_edited, "damaged", "digest differs"),
        (_without_sections, "damaged", "no configuration"),
        (_a_folder, "damaged", "no run.json"),
        (_no_record, "damaged", "no run.json"),
        (_a_pipe, "damaged", "pipe"),
        (_huge, "damaged", "expected at most"),
        (_odd_owner, "unclear", ""),
        (_odd_summary, "interrupted", ""),
    ],
)
def test_a_damaged_run_is_listed_and_told(
    runs: Path, damage: Callable[[Path], None], state: str, why: str
) -> None:
    damage(runs / "kmeans")
    found = listed(runs)
    assert (found["kmeans"].state, len(found)) == (state, 4)
    assert why in found["kmeans"].why
    page = page_of_runs([one.to_dict() for one in found.values()]).to_markdown()
    assert state in page
    shown = show_run(Location(str(runs / "kmeans")))
    assert shown["state"] == state
    if state == "damaged":
        with pytest.raises((CheckpointError, NotFoundError)):
            compare_runs([Location(str(runs / key)) for key in ("kmeans", "short")])


def test_other_things_in_the_folder_are_no_runs(runs: Path, data: Path) -> None:
    (runs / "notes").mkdir()
    (runs / "notes/run.txt").touch()
    (runs / "a file").touch()
    (runs / "empty").mkdir()
    (runs / "gone").symlink_to(runs / "nowhere")
    (runs / "loop").symlink_to(runs / "loop")
    shutil.copytree(data, runs / "array.zarr")
    (runs / "bad.zarr").mkdir()
    (runs / "bad.zarr/zarr.json").write_text("[")
    found, others = list_runs(Location(str(runs)))
    assert {one.key for one in found} == {"kmeans", "short", "sweep", "cut"}
    assert others == 4
    for name in ("notes", "empty", "array.zarr", "bad.zarr", "nowhere", "a file"):
        with pytest.raises(EmdistError):
            removal_of(Location(str(runs / name)))
    assert (runs / "notes/run.txt").exists()
    with pytest.raises(NotFoundError, match="There is no folder"):
        list_runs(Location(str(runs / "nowhere")))


def test_label_stores_beside_runs_are_listed_and_never_deleted(runs: Path, data: Path) -> None:
    where = Location(str(runs / "new.zarr"))
    label_data(Location(str(runs / "kmeans")), DataSection(path=str(data)), where)
    one = listed(runs)["new.zarr"]
    assert (one.kind, one.state, one.model) == ("labels", "finished", "labels")
    with pytest.raises(RunError, match="holds labels"):
        removal_of(where)
    found, _ = removals_in(Location(str(runs)), RunFilter())
    assert str(where) not in {str(one.location) for one in found}


@pytest.mark.parametrize("key", ["a b", "ünï ☃", "-rf", "%41?#", "$(x)", "'\"", "x" * 200])
def test_keys_with_odd_characters(runs: Path, key: str) -> None:
    (runs / "kmeans").rename(runs / key)
    one = listed(runs)[key]
    assert one.state == "finished"
    remove(removal_of(Location(one.path)))
    assert not (runs / key).exists()


def test_a_name_that_cannot_be_printed_is_shown_with_escapes(runs: Path) -> None:
    odd = os.fsdecode(os.fsencode(runs) + b"/a\nb\xff")
    (runs / "kmeans").rename(odd)
    page = page_of_runs([one.to_dict() for one in listed(runs).values()]).to_markdown()
    page.encode()
    assert r"a\nb" in page


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(runs: Path) -> None:
    (runs / "kmeans").chmod(0)
    try:
        assert listed(runs)["kmeans"].state == "unreadable"
    finally:
        (runs / "kmeans").chmod(0o755)


def test_a_run_that_the_file_system_refuses_is_unreadable(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = LocalFolder.entries

    def refuse(self: LocalFolder, prefix: str = "") -> Any:
        if self.location.name == "kmeans":
            raise StorageError("cannot list it: permission denied")
        return entries(self, prefix)

    monkeypatch.setattr(LocalFolder, "entries", refuse)
    found = listed(runs)
    assert (found["kmeans"].state, len(found)) == ("unreadable", 4)
    assert "permission denied" in found["kmeans"].why
    removals, refused = removals_in(Location(str(runs)), RunFilter())
    assert [info.key for info, _ in refused] == ["kmeans"]
    assert len(removals) == 3


def test_a_run_behind_a_link_is_listed_and_its_target_not_deleted(runs: Path) -> None:
    (runs / "kmeans").rename(runs.parent / "real")
    (runs / "kmeans").symlink_to(runs.parent / "real")
    one = listed(runs)["kmeans"]
    assert (one.state, one.link) == ("finished", str(runs.parent / "real"))
    with pytest.raises(RunError, match=r"symbolic link to .*real"):
        removal_of(Location(str(runs / "kmeans")))
    _, refused = removals_in(Location(str(runs)), RunFilter())
    assert [info.key for info, _ in refused] == ["kmeans"]
    assert (runs.parent / "real/final/model.json").exists()


def test_a_link_inside_of_a_run_is_not_followed(runs: Path) -> None:
    outside = runs.parent / "outside"
    (runs / "kmeans/labels.zarr").rename(outside)
    (runs / "kmeans/labels.zarr").symlink_to(outside)
    found = remove(removal_of(Location(str(runs / "kmeans"))))
    assert str(runs / "kmeans/labels.zarr") in found.kept
    assert (outside / "zarr.json").exists()
    (runs / "short/ckpt").rename(runs.parent / "ckpt")
    (runs / "short/ckpt").symlink_to(runs.parent / "ckpt")
    with pytest.raises(RunError, match="ckpt is a symbolic link"):
        removal_of(Location(str(runs / "short")))


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name.split("+")[0])
def test_runs_of_earlier_versions_are_listed_and_deleted(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        members = [one for one in packed if "/runs/" in one.name or "run.json" in one.name]
        packed.extractall(tmp_path, members, filter="data")
    folders = {path.parent.parent for path in tmp_path.rglob("run.json")}
    assert folders
    for folder in folders:
        found, _ = list_runs(Location(str(folder)))
        assert found
        for one in found:
            assert one.state in ("finished", "max_iter", "interrupted", "unclear", "damaged"), one
            assert one.state != "damaged" or one.why, one
            assert one.model or one.state == "damaged"
    one = next(one for one in found if one.state in ("finished", "max_iter"))
    assert one.iterations
    remove(removal_of(Location(one.path)))
    assert not Path(one.path).exists()


def test_a_thousand_runs_are_listed_quickly(runs: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for n in range(1000):
        shutil.copytree(runs / "kmeans", many / f"run-{n:04d}", copy_function=os.link)
    began = time.process_time()
    found, others = list_runs(Location(str(many)))
    spent = time.process_time() - began
    assert (len(found), others) == (1000, 0)
    assert all(one.state == "finished" for one in found)
    assert spent < 10, "a run takes a few milliseconds: nothing but small files is read"


# --- deletion ------------------------------------------------------------------------------------


def test_a_run_is_deleted_with_all_that_emdist_wrote(runs: Path) -> None:
    before = removal_of(Location(str(runs / "sweep")))
    size = sum(p.stat().st_size for p in (runs / "sweep").rglob("*") if p.is_file())
    assert (before.bytes, before.doomed.whole) == (size, True)
    assert (runs / "sweep").exists(), "nothing is deleted by looking"
    done = remove(before)
    assert done.files >= before.files
    assert not (runs / "sweep").exists()
    assert {*listed(runs)} == {"kmeans", "short", "cut"}


def test_what_is_not_emdists_stays(runs: Path, data: Path) -> None:
    run = runs / "kmeans"
    (run / "notes.txt").write_text("mine")
    label_data(Location(str(run)), DataSection(path=str(data)), Location(str(run / "other.zarr")))
    found = remove(removal_of(Location(str(run))))
    assert found.kept[:2] == (str(run / "notes.txt"), str(run / "other.zarr"))
    assert {path.name for path in run.iterdir()} == {"notes.txt", "other.zarr"}
    assert "kmeans" not in listed(runs)


def test_the_model_is_kept_and_labels_again(runs: Path, data: Path, tmp_path: Path) -> None:
    run = Location(str(runs / "kmeans"))
    wanted = load_fitted(run)[1].objective
    labels = zarr.open_array(runs / "kmeans/labels.zarr/labels", mode="r")[:]
    remove(removal_of(run, KeptParts(model=True, labels=True)))
    assert (runs / "kmeans/labels.zarr/labels").exists()
    remove(removal_of(run, KeptParts(model=True)))
    names = {path.name for path in (runs / "kmeans").iterdir()}
    assert names == {"run.json", "owners", "final", "summary.json", "summary.md"}
    one = listed(runs)["kmeans"]
    assert (one.state, one.has_model, one.labels is None) == ("finished", True, False)
    assert inspect(run)["progress"] == "finished; its checkpoints were deleted"
    assert inspect(run)["result"]["objective"] == wanted
    label_data(run, DataSection(path=str(data)), Location(str(tmp_path / "again.zarr")))
    again = zarr.open_array(tmp_path / "again.zarr/labels", mode="r")[:]
    np.testing.assert_array_equal(again, labels)
    assert removal_of(run, KeptParts(model=True)).files == 0
    remove(removal_of(Location(str(runs / "sweep")), KeptParts(model=True)))
    assert (runs / "sweep/models/kmeans-2/model.json").exists()


def test_a_run_without_a_model_is_not_emptied_to_keep_it(runs: Path) -> None:
    with pytest.raises(RunError, match="no model that could be kept"):
        removal_of(Location(str(runs / "cut")), KeptParts(model=True))
    with pytest.raises(ConfigError, match="--keep-labels needs --keep-model"):
        KeptParts(labels=True)


def test_a_run_at_work_is_deleted_by_force_alone_and_its_process_ends(
    data: Path, tmp_path: Path
) -> None:
    config = values(data, tmp_path, "r", model={"name": "full"}, fit={"tol": 0.0})
    run = Location(str(tmp_path / "r"))
    with open_job(make_config(config)) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
        with pytest.raises(RunError, match="works on it"):
            removal_of(run)
        refused = removals_in(Location(str(tmp_path)), RunFilter())[1]
        assert [info.key for info, _ in refused] == ["r"]
        remove(removal_of(run, force=True))
        with pytest.raises(RunFencedError, match="deleted"):
            job.segment()
    assert not [path for path in (tmp_path / "r").rglob("*") if path.is_file()]


def test_a_process_at_work_stops_a_deletion_that_it_does_not_know_of(runs: Path) -> None:
    folder = open_folder(Location(str(runs / "cut")))
    doomed = removal_of(Location(str(runs / "cut"))).doomed
    epoch = deletion.begin(folder, doomed)
    owners.claim(folder)
    with pytest.raises(RunFencedError):
        deletion.carry_out(folder, doomed, epoch)
    assert (runs / "cut/run.json").exists()
    assert listed(runs)["cut"].state == "deleting"


class CutOff(BaseException):
    """As if the process were killed."""


def cut_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the process end before a deletion's step number `steps`."""
    left = [steps]
    delete = LocalFolder.delete

    def cut(self: LocalFolder, name: str) -> None:
        if left[0] == 0:
            raise CutOff
        left[0] -= 1
        delete(self, name)

    monkeypatch.setattr(LocalFolder, "delete", cut)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("steps", range(4))
def test_a_deletion_that_is_cut_off_is_told_and_finished(
    runs: Path, data: Path, monkeypatch: pytest.MonkeyPatch, steps: int, keep: bool
) -> None:
    run = Location(str(runs / "kmeans"))
    removal = removal_of(run, KeptParts(model=keep))
    with monkeypatch.context() as context:
        cut_after(context, steps)
        with pytest.raises(CutOff):
            remove(removal)
    _finished(run, runs, data, keep)


@pytest.mark.parametrize("name", ["run.json", "owners", TOMBSTONE])
def test_a_deletion_that_is_cut_off_at_its_end(
    runs: Path, data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = Location(str(runs / "kmeans"))
    delete = LocalFolder.delete

    def cut(self: LocalFolder, deleted: str) -> None:
        if deleted == name:
            raise CutOff
        delete(self, deleted)

    removal = removal_of(run)
    with monkeypatch.context() as context:
        context.setattr(LocalFolder, "delete", cut)
        with pytest.raises(CutOff):
            remove(removal)
    _finished(run, runs, data, keep=False)


def _finished(run: Location, runs: Path, data: Path, keep: bool) -> None:
    """Check that a deletion that was cut off shows, keeps runs away, and is finished."""
    one = listed(runs)["kmeans"]
    assert one.state == "deleting"
    assert show_run(run)["state"] == "deleting"
    with pytest.raises(RunError, match=r"is being deleted.*emdist runs rm"):
        complete(values(data, runs, "kmeans"))
    # A deletion that keeps the model and follows one that does not cannot bring it back.
    remove(removal_of(run, KeptParts(model=keep)))
    if keep:
        assert listed(runs)["kmeans"].state == "finished"
        load_fitted(run)
        return
    assert not (runs / "kmeans").exists()
    complete(values(data, runs, "kmeans"))
    assert listed(runs)["kmeans"].state == "finished"


def test_a_torn_announcement_counts_as_being_deleted(runs: Path) -> None:
    (runs / "kmeans" / TOMBSTONE).write_text('{"form')
    assert listed(runs)["kmeans"].state == "deleting"
    remove(removal_of(Location(str(runs / "kmeans"))))
    assert not (runs / "kmeans").exists()


def test_names_of_an_announcement_lead_nowhere_else(runs: Path) -> None:
    told = {"format": 1, "names": ["..", "../short", "/etc", "", 3, "ckpt"], "whole": True}
    (runs / "kmeans" / TOMBSTONE).write_text(json.dumps(told))
    remove(removal_of(Location(str(runs / "kmeans"))))
    assert (runs / "short/run.json").exists()


def test_what_cannot_be_deleted_is_told_and_the_run_stays_being_deleted(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Location(str(runs / "kmeans"))
    with monkeypatch.context() as context:
        context.setattr(shutil, "rmtree", lambda path, ignore_errors=False: None)
        with pytest.raises(StorageError, match=r"cannot delete .* files .*permissions"):
            remove(removal_of(run))
    assert listed(runs)["kmeans"].state == "deleting"
    remove(removal_of(run))
    assert not (runs / "kmeans").exists()


def test_labels_outside_of_the_run_are_named_and_stay(data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "out" / "labels.zarr"
    complete(values(data, tmp_path / "runs", "r", labels={"path": str(labels)}))
    found = remove(removal_of(Location(str(tmp_path / "runs/r"))))
    assert found.kept == (f"{labels} (its labels, outside of its folder)",)
    assert (labels / "zarr.json").exists()


def test_old_runs_are_deleted_together(runs: Path) -> None:
    for key in ("kmeans", "cut"):
        age(runs / key, 40 * 24 * HOUR)
    old = RunFilter(older=30 * 24 * HOUR)
    found, refused = removals_in(Location(str(runs)), old, KeptParts(model=True))
    assert [one.info.key for one in found] == ["kmeans"]
    assert [info.key for info, _ in refused] == ["cut"]
    found, refused = removals_in(Location(str(runs)), old)
    assert {one.info.key for one in found} == {"kmeans", "cut"}
    assert not refused
    for one in found:
        remove(one)
    assert {*listed(runs)} == {"short", "sweep"}


def test_only_runs_that_say_so_themselves_expire(data: Path, tmp_path: Path) -> None:
    short = {"retention": "1h"}
    complete(values(data, tmp_path, "model", run=short))
    complete(values(data, tmp_path, "whole", run=short | {"retention_keep_model": False}))
    complete(values(data, tmp_path, "long", run={"retention": "30d"}))
    complete(values(data, tmp_path, "ever"))
    begin(values(data, tmp_path, "cut", model={"name": "full"}, fit={"tol": 0.0}, run=short))
    assert not expired_in(Location(str(tmp_path)))
    for run in tmp_path.iterdir():
        age(run, 2 * HOUR)
    found = expired_in(Location(str(tmp_path)))
    assert {one.info.key: one.doomed.whole for one in found} == {"model": False, "whole": True}
    for one in found:
        remove(one)
    assert {*listed(tmp_path)} == {"model", "long", "ever", "cut"}
    load_fitted(Location(str(tmp_path / "model")))
    assert not expired_in(Location(str(tmp_path)))


# --- comparison ----------------------------------------------------------------------------------


def test_a_comparison_shows_the_settings_that_differ_and_the_results(runs: Path) -> None:
    found = compare_runs([Location(str(runs / key)) for key in ("kmeans", "short")])
    assert found["differences"]["model.name"] == ["kmeans", "full"]
    assert found["differences"]["fit.max_iter"] == [None, "1"]
    assert "data.path" not in found["differences"]
    results = found["results"]
    assert results["state"] == ["finished", "max_iter"]
    assert results["objective is"] == ["inertia", "log-likelihood per row"]
    assert results["objective per row"][0] == pytest.approx(results["objective"][0] / 600)
    assert results["objective per row"][1] == results["objective"][1]
    assert any("different kinds" in note for note in found["notes"])
    page = page_of_comparison(found).to_markdown()
    assert "| model.name | kmeans | full |" in page


def test_equal_runs_are_told_as_equal_and_other_data_as_other(
    runs: Path, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "kmeans", tmp_path / "kmeans")
    places = [Location(str(runs / "kmeans")), Location(str(tmp_path / "kmeans"))]
    found = compare_runs(places)
    assert not found["differences"]
    assert {one["key"] for one in found["runs"]} == {str(place) for place in places}
    assert "The runs have the same configuration and data." in found["notes"]
    assert "the same" in page_of_comparison(found).to_markdown()
    other = tmp_path / "other.zarr"
    zarr.create_array(other, shape=(50, 2), chunks=(50, 2), dtype="f8")[:] = np.eye(50, 2)
    complete(values(other, tmp_path / "runs2", "o"))
    found = compare_runs([places[0], Location(str(tmp_path / "runs2/o"))])
    assert any("different data" in note for note in found["notes"])
    with pytest.raises(ConfigError, match="at least two runs"):
        compare_runs(places[:1])


def test_components_are_matched_and_labels_compared(data: Path, tmp_path: Path) -> None:
    for key, seed in (("a", 0), ("b", 5)):
        complete(values(data, tmp_path, key, fit={"seed": seed}, labels={"write": True}))
    places = [Location(str(tmp_path / key)) for key in ("a", "b")]
    found = compare_runs(places)
    (match,) = found["matches"]
    assert (match["run"], match["with"], match["gone"]) == ("b", "a", [])
    means = [emdist.load(str(tmp_path / key)).cluster_centers_ for key in ("a", "b")]
    for part in match["components"]:
        near = means[1][part["component"]] - means[0][part["matches"]]
        assert np.abs(near).max() < 0.5
    # Labels are numbered as components are, and the clusters are far from each other.
    truth = [np.asarray(zarr.open_group(tmp_path / key / "labels.zarr")["labels"]) for key in "ab"]
    expected = adjusted_rand_score(*truth)
    assert match["labels"]["adjusted_rand"] == pytest.approx(expected, abs=1e-12)
    assert match["labels"]["same"] > 0.99
    assert match["labels"]["rows"] == 600
    (page,) = pages_of_matches(found)
    assert "| adjusted Rand index |" in page.to_markdown()
    assert "labels" not in compare_runs(places, read_labels=False)["matches"][0]


def test_a_page_shows_some_of_many_components() -> None:
    part = {"matches": None, "weight": 0.1, "weight_before": None, "moved": None}
    many = [{"component": i, **part} for i in range(130)]
    (page,) = pages_of_matches({"matches": [{"run": "b", "with": "a", "components": many}]})
    assert len(page.rows) == 100
    assert ("components", "30 more than are shown here; --json has all") in page.facts


def test_what_cannot_be_matched_is_said(data: Path, runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "y.zarr"
    y = np.random.default_rng(1).normal(size=(600, 3))
    zarr.create_array(other, shape=y.shape, chunks=(200, 3), dtype="f8")[:] = y
    complete(values(other, tmp_path, "wide", labels={"write": True}))
    complete(values(data, tmp_path, "more", model={"n_components": 5}, labels={"write": False}))
    places = [Location(str(tmp_path / "wide")), Location(str(runs / "kmeans"))]
    notes = " ".join(compare_runs(places)["notes"])
    assert "has 2 features, but the reference has 3" in notes
    assert "labels of kmeans and wide cannot be compared: they are of other rows" in notes
    places = [Location(str(runs / "kmeans")), Location(str(tmp_path / "more"))]
    found = compare_runs(places)
    assert [part["matches"] for part in found["matches"][0]["components"]][3:] == [None, None]
    assert "more has no complete labels" in " ".join(found["notes"])
    places = [Location(str(runs / "kmeans")), Location(str(runs / "cut"))]
    assert "not both have a finished model" in " ".join(compare_runs(places)["notes"])


def test_a_sweep_is_compared_by_its_best_model(runs: Path) -> None:
    found = compare_runs([Location(str(runs / key)) for key in ("sweep", "cut")])
    assert found["results"]["best"] == ["kmeans-3", None]
    assert found["results"]["icl"][0] is not None
    assert any("last checkpoint" in note for note in found["notes"])


def test_a_run_is_shown_with_what_it_takes_on_disk(runs: Path) -> None:
    found = show_run(Location(str(runs / "kmeans")))
    assert sum(found["parts"].values()) == found["bytes"]
    assert found["inspected"]["kind"] == "run"
    from emdist.report.inspection import page_of_inspection

    rest = page_of_inspection(found["inspected"])
    page = page_of_run(found, found["parts"], rest).to_markdown()
    assert "| state | finished |" in page
    assert "labels.zarr: " in page
    assert page.count("| run |") == 1


def test_states_are_those_of_the_command_line() -> None:
    from emdist.cli import runs_options as command

    assert tuple(STATES) == command.STATES
