"""Laws of the run folder: the newest good checkpoint survives every fault, and owners differ."""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emdist.errors import (
    CheckpointError,
    NotFoundError,
    RunFencedError,
    RunMismatchError,
    StorageError,
)
from emdist.interfaces import Array
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import read_model, save_model
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import compare, new_record

RECORD = {
    "config": {"model": {"k": 8, "tol": 1e-3}, "data": ["a", "b"]},
    "data": {"shape": [100, 3], "sha256": "abc"},
    "plan": "p1",
    "versions": {"numpy": "2.0"},
}


def arrays(sequence: int) -> dict[str, Array]:
    return {"x": np.full((40, 5), sequence, dtype="f8"), "n": np.arange(sequence, dtype="i8")}


@pytest.fixture(params=["local", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    local = request.param == "local"
    return RunFolder(Location(str(tmp_path / "run") if local else f"memory://{tmp_path.name}/run"))


@pytest.fixture
def local(tmp_path: Path) -> RunFolder:
    return RunFolder(Location(str(tmp_path / "run")))


def fill(run: RunFolder, *sequences: int) -> int:
    run.create_or_check(RECORD)
    epoch = run.claim()
    for sequence in sequences:
        run.save("ckpt", sequence, arrays(sequence), {"sequence": sequence}, epoch)
    return epoch


def sequences(run: RunFolder) -> list[int]:
    return sorted({int(name.split("/")[1][:8]) for name in run.folder.list("ckpt")})


def newest(run: RunFolder) -> int:
    saved = run.load("ckpt")
    assert saved is not None
    assert saved.meta == {"sequence": saved.sequence}
    assert np.array_equal(saved.arrays["x"], arrays(saved.sequence)["x"])
    return saved.sequence


def leftovers(path: Path) -> list[Path]:
    return [found for found in path.rglob("*") if ".tmp-" in found.name]


# --- what a run is ---------------------------------------------------------------------------


def test_a_run_is_started_and_continued(run: RunFolder) -> None:
    assert run.create_or_check(RECORD) == []
    before = run.folder.read("run.json")
    assert run.create_or_check(RECORD) == []
    warnings = run.create_or_check(RECORD | {"versions": {"numpy": "2.1", "zarr": "3"}})
    assert [line for line in warnings if '"2.0" -> "2.1"' in line]
    assert len(warnings) == 2
    assert run.folder.read("run.json") == before
    assert run.record()["config"] == RECORD["config"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"config": {"model": {"k": 9, "tol": 1e-3}, "data": ["a", "b"]}},
            "\n  model.k: 8 -> 9",
        ),
        ({"config": {"model": {"k": 8}, "data": ["a"]}}, "\n  model.tol: 0.001 -> (default)"),
        ({"data": {"shape": [101, 3], "sha256": "abc"}}, "data.shape: [100,3] -> [101,3]"),
        ({"plan": "p2"}, 'plan: "p1" -> "p2"'),
    ],
)
def test_another_run_is_refused_with_the_difference(
    run: RunFolder, change: dict[str, Any], told: str
) -> None:
    run.create_or_check(RECORD)
    # A run without a checkpoint would be taken over: nothing of value is there.
    run.save("ckpt", 1, arrays(1), {"sequence": 1}, run.claim())
    before = run.folder.read("run.json")
    with pytest.raises(RunMismatchError) as caught:
        run.create_or_check(RECORD | change)
    assert told in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert "another run.key" in str(caught.value)
    assert run.folder.read("run.json") == before


def test_a_folder_of_something_else_is_never_touched(run: RunFolder) -> None:
    run.folder.write("holiday.txt", b"photos")
    with pytest.raises(RunMismatchError, match="not empty"):
        run.create_or_check(RECORD)
    assert run.folder.list() == ["holiday.txt"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "incomplete or damaged"),
        (b'{"format": 1, "conf', "incomplete or damaged"),
        (b"[]", "expected an object"),
        (b"{}", "no format version"),
        (b'{"format": 99}', "newer version of emdist"),
        (b'{"format": 1, "config": {}, "config_digest": "x"}', "edited"),
    ],
)
def test_a_damaged_run_json_is_refused(run: RunFolder, data: bytes, told: str) -> None:
    run.folder.write("run.json", data)
    with pytest.raises(CheckpointError, match=told):
        run.create_or_check(RECORD)
    assert run.folder.read("run.json") == data


def test_of_many_starters_all_agree(run: RunFolder) -> None:
    outcomes: list[object] = []

    def start(k: int) -> None:
        try:
            outcomes.append(run.create_or_check(RECORD | {"plan": f"p{k % 2}"}))
        except RunMismatchError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome == [] for outcome in outcomes) == 4


# --- owners ----------------------------------------------------------------------------------


def test_epochs_are_unique_and_rise(run: RunFolder) -> None:
    epochs: list[int] = []
    threads = [threading.Thread(target=lambda: epochs.append(run.claim())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(epochs) == list(range(1, 9))


def test_a_zombie_is_fenced_and_leaves_nothing(run: RunFolder) -> None:
    zombie = fill(run, 1, 2)
    owner = run.claim()
    with pytest.raises(RunFencedError, match=f"epoch {owner}"):
        run.save("ckpt", 3, arrays(3), {"sequence": 3}, zombie)
    with pytest.raises(RunFencedError):
        run.retain("ckpt", epoch=zombie)
    with pytest.raises(RunFencedError):
        run.accept({}, zombie)
    assert newest(run) == 2
    run.save("ckpt", 3, arrays(3), {"sequence": 3}, owner)
    run.retain("ckpt", epoch=owner)
    assert sequences(run) == [1, 2, 3]
    assert len(run.folder.list("ckpt")) == 6


def test_a_zombie_fenced_between_data_and_commit(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = fill(run, 1)
    real = type(run.folder).publish

    def publish(self: Any, name: str, files: Any, check: Callable[[], None]) -> None:
        def late() -> None:
            run.claim()
            check()

        real(self, name, files, late)

    monkeypatch.setattr(type(run.folder), "publish", publish)
    with pytest.raises(RunFencedError):
        run.save("ckpt", 2, arrays(2), {"sequence": 2}, zombie)
    assert newest(run) == 1


# --- save, load, retain ----------------------------------------------------------------------


def test_no_checkpoint_is_none(run: RunFolder) -> None:
    run.create_or_check(RECORD)
    assert run.load("ckpt") is None
    assert run.read_final() is None


def test_round_trip_and_equal_digests(run: RunFolder) -> None:
    epoch = fill(run, 1)
    first = run.save("ckpt", 2, arrays(2), {"a": [1, None, "x"]}, epoch)
    saved = run.load("ckpt")
    assert saved is not None
    assert (saved.sequence, saved.epoch, saved.sha256) == (2, epoch, first)
    assert saved.meta == {"a": [1, None, "x"]}
    assert saved.arrays.keys() == arrays(2).keys()
    again = run.save("ckpt", 2, dict(reversed(arrays(2).items())), saved.meta, epoch)
    assert again == first


def test_the_highest_sequence_wins_then_the_latest_owner(run: RunFolder) -> None:
    fill(run, 1, 5)
    owner = run.claim()
    for sequence in (3, 5):
        run.save("ckpt", sequence, arrays(sequence), {"sequence": sequence}, owner)
    saved = run.load("ckpt")
    assert saved is not None
    assert (saved.sequence, saved.epoch) == (5, owner)


@pytest.mark.parametrize(
    ("last", "every", "best", "kept"),
    [
        (3, 0, None, [8, 9, 10]),
        (1, 0, None, [10]),
        (2, 4, None, [4, 8, 9, 10]),
        (2, 0, 3, [3, 9, 10]),
        (20, 0, None, list(range(1, 11))),
        (1, 0, 77, [10]),
    ],
)
def test_retention(
    run: RunFolder, last: int, every: int, best: int | None, kept: list[int]
) -> None:
    epoch = fill(run, *range(1, 11))
    run.save("other", 1, arrays(1), {"sequence": 1}, epoch)
    run.retain("ckpt", last, every, best, epoch=epoch)
    assert sequences(run) == kept
    assert newest(run) == 10
    assert run.load("other") is not None
    with pytest.raises(ValueError, match="last=0"):
        run.retain("ckpt", last=0, epoch=epoch)


def test_retention_drops_what_an_older_owner_did_twice_or_half(run: RunFolder) -> None:
    fill(run, 1, 2)
    owner = run.claim()
    run.save("ckpt", 2, arrays(2), {"sequence": 2}, owner)
    run.folder.write("ckpt/00000009-1-deadbeef/state.safetensors", b"half")
    run.retain("ckpt", epoch=owner)
    assert sequences(run) == [1, 2]
    assert len(run.folder.list("ckpt")) == 4


def test_a_reader_outrun_by_retention_looks_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = fill(run, 1, 2)
    real, calls = type(run.folder).read, []

    def read(self: Any, name: str, limit: int | None = None) -> bytes:
        if not calls and name.startswith("ckpt"):
            calls.append(name)
            for sequence in (3, 4):
                run.save("ckpt", sequence, arrays(sequence), {"sequence": sequence}, epoch)
            run.retain("ckpt", last=1, epoch=epoch)
        return real(self, name, limit)

    monkeypatch.setattr(type(run.folder), "read", read)
    assert newest(run) == 4


# --- damage ----------------------------------------------------------------------------------


def _truncate(path: Path, keep: float) -> None:
    os.truncate(path, int(path.stat().st_size * keep))


def _flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * at)] ^= 0x10
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "empty": lambda path: _truncate(path, 0),
    "half": lambda path: _truncate(path, 0.5),
    "almost": lambda path: _truncate(path, 0.99),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "huge": lambda path: os.truncate(path, 1 << 40),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flip first": lambda path: _flip(path, 0),
    "flip early": lambda path: _flip(path, 0.1),
    "flip middle": lambda path: _flip(path, 0.5),
    "flip last": lambda path: _flip(path, 1),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
    "loop": lambda path: (path.unlink(), path.symlink_to(path)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
def test_damage_falls_back_with_a_warning_or_is_refused(
    local: RunFolder, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(local, 1, 2, 3)
    if damage == "flip last" and file == "manifest.json":
        damage = "flip middle"  # the last byte is a newline, which says nothing
    for sequence, fallback in ((3, 2), (2, 1)):
        ((path),) = local.location.path.glob(f"ckpt/{sequence:08d}-*/{file}")
        DAMAGE[damage](path)
        with caplog.at_level(logging.WARNING):
            assert newest(local) == fallback
        assert "skipping the checkpoint" in caplog.text
    ((path),) = local.location.path.glob(f"ckpt/00000001-*/{file}")
    DAMAGE[damage](path)
    with pytest.raises((CheckpointError, StorageError)) as caught:
        local.load("ckpt")
    assert str(local.location) in str(caught.value)


@pytest.mark.parametrize("file", ["state.safetensors", "manifest.json"])
def test_every_single_flipped_byte_is_seen_or_harmless(local: RunFolder, file: str) -> None:
    run, epoch = local, fill(local)
    run.save("ckpt", 1, {"x": np.arange(3.0)}, {"sequence": 1}, epoch)
    ((path),) = run.location.path.glob(f"ckpt/*/{file}")
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x04]) + good[at + 1 :])
        try:
            saved = run.load("ckpt")
        except CheckpointError:
            continue
        assert saved is not None  # a flipped blank or comma position cannot change the answer
        assert saved.arrays["x"].tolist() == [0.0, 1.0, 2.0]
        assert file == "manifest.json"


def test_damage_in_an_object_store_falls_back() -> None:
    run = RunFolder(Location("memory://damage/run"))
    fill(run, 1, 2, 3)
    three, two, one = (
        next(
            n for n in run.folder.list("ckpt") if n.startswith(f"ckpt/0000000{i}") and "state" in n
        )
        for i in (3, 2, 1)
    )
    run.folder.write(three, b"short")
    assert newest(run) == 2
    run.folder.delete(two)
    assert newest(run) == 1
    run.folder.write(one, b"x" * 10_000_000)
    with pytest.raises(CheckpointError, match="none of the 3"):
        run.load("ckpt")


def test_a_put_cut_off_before_the_first_commit_is_no_checkpoint() -> None:
    run = RunFolder(Location("memory://cut/run"))
    fill(run)
    run.folder.write("ckpt/00000001-1-deadbeef/state.safetensors", b"half")
    assert run.load("ckpt") is None


def test_a_newer_format_is_refused_and_not_skipped(local: RunFolder) -> None:
    fill(local, 1, 2)
    ((path),) = local.location.path.glob("ckpt/00000002-*/manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="newer version of emdist"):
        local.load("ckpt")


def test_a_manifest_leads_nowhere_else(local: RunFolder, tmp_path: Path) -> None:
    fill(local, 1, 2)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 10)
    ((path),) = local.location.path.glob("ckpt/00000002-*/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"] = {"../../../secret": manifest["files"].popitem()[1]}
    path.write_text(json.dumps(manifest))
    assert newest(local) == 1


# --- crashes ---------------------------------------------------------------------------------

WRITER = """
import sys
import numpy as np
from emdist.store.runs.run_folder import RunFolder
from emdist.store.places.location import Location
from emdist.store.runs.model_files import save_model
run = RunFolder(Location(sys.argv[1]))
run.create_or_check({"config": {}, "data": {}, "plan": "", "versions": {}})
epoch = run.claim()
saved = run.load("ckpt")
sequence = saved.sequence if saved else 0
print("ready", flush=True)
while True:
    sequence += 1
    x = np.full((200, 200), sequence, dtype="f8")
    run.save("ckpt", sequence, {"x": x}, {"sequence": sequence}, epoch)
    run.retain("ckpt", epoch=epoch)
    save_model(run.location.child("final"), {"x": x}, {"sequence": sequence})
    print(sequence, flush=True)
"""


@pytest.mark.long
def test_killed_writers_leave_the_newest_good_checkpoint(local: RunFolder) -> None:
    rng, known = random.Random(7), 0
    for _ in range(15):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(local.location)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.1))
        writer.kill()
        said = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        known = max([known, *said])
        saved = local.load("ckpt")
        assert (saved.sequence if saved else 0) >= known
        if saved:
            known = saved.sequence
            assert np.all(saved.arrays["x"] == saved.sequence)
            final = local.read_final()
            assert final is None or np.all(final.arrays["x"] == final.meta["sequence"])
    assert known > 0
    epoch = local.claim()
    local.retain("ckpt", epoch=epoch)
    assert leftovers(local.location.path / "ckpt") == []
    assert len(sequences(local)) <= 3


# --- disks that refuse -----------------------------------------------------------------------


def test_a_file_too_large_is_told_and_changes_nothing(local: RunFolder) -> None:
    epoch = fill(local, 1)
    before = local.folder.list()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, old[1]))
    try:
        with pytest.raises(StorageError, match="larger than") as caught:
            local.save("ckpt", 2, {"x": np.zeros(10_000)}, {"sequence": 2}, epoch)
        with pytest.raises(StorageError, match="larger than"):
            save_model(local.location.child("final"), {"x": np.zeros(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert str(local.location) in str(caught.value)
    assert local.folder.list() == before
    assert leftovers(local.location.path) == []
    assert newest(local) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_is_told_and_loses_nothing(small_disk: Path) -> None:
    run = RunFolder(Location(str(small_disk / "run")))
    epoch = fill(run, 1)
    with pytest.raises(StorageError, match=r"disk is full.*no existing data is lost"):
        run.save("ckpt", 2, {"x": np.zeros(100_000)}, {"sequence": 2}, epoch)
    assert leftovers(small_disk) == []
    assert newest(run) == 1
    run.save("ckpt", 2, arrays(2), {"sequence": 2}, epoch)
    assert newest(run) == 2


def test_a_read_only_disk_is_told_and_can_be_read(small_disk: Path) -> None:
    run = RunFolder(Location(str(small_disk / "run")))
    epoch = fill(run, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StorageError, match="read-only"):
        run.save("ckpt", 2, arrays(2), {"sequence": 2}, epoch)
    with pytest.raises(StorageError, match="read-only"):
        run.claim()
    assert run.create_or_check(RECORD) == []
    assert newest(run) == 1


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_every_refusal_names_the_path_and_a_remedy(
    local: RunFolder, monkeypatch: pytest.MonkeyPatch, call: str, code: str
) -> None:
    import errno

    from emdist.store.places import files_local

    epoch = fill(local, 1)
    before = local.folder.list()

    def fail(*_: Any) -> None:
        raise OSError(getattr(errno, code), "scripted")

    where: Any = {"write": (files_local, "_write_new"), "fsync": (os, "fsync")}
    monkeypatch.setattr(*where.get(call, (Path, "rename")), fail)
    with pytest.raises(StorageError) as caught:
        local.save("ckpt", 2, arrays(2), {"sequence": 2}, epoch)
    monkeypatch.undo()
    assert str(local.location) in str(caught.value)
    assert caught.value.errno == getattr(errno, code)
    assert caught.value.__cause__ is not None
    assert local.folder.list() == before
    assert leftovers(local.location.path) == []


def test_bytes_that_read_back_wrong_are_no_checkpoint(
    local: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emdist.store.places import files_local

    epoch, real = fill(local, 1), files_local._write_new
    monkeypatch.setattr(
        files_local, "_write_new", lambda path, data: real(path, data[:-1] + b"\xff")
    )
    with pytest.raises(StorageError, match="reading it back gives other bytes"):
        local.save("ckpt", 2, arrays(2), {"sequence": 2}, epoch)
    monkeypatch.undo()
    assert newest(local) == 1


def test_errors_of_an_object_store_show_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore
    from obstore.exceptions import GenericError

    def fail(*_: Any, **__: Any) -> None:
        raise GenericError("GET https://me:hunter2@host/b?sig=tok123 failed <?xml 503>\ntok123")

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(StorageError, match=r"https://host/b failed <\?xml 503>") as caught:
        RunFolder(Location("memory://signed/run")).create_or_check(RECORD)
    assert "hunter2" not in str(caught.value)
    assert "tok123" not in str(caught.value)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in ("file", "file/run"):
        with pytest.raises(StorageError, match="not a folder"):
            RunFolder(Location(str(tmp_path / place))).create_or_check(RECORD)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"):
        RunFolder(Location(str(tmp_path / "run"))).create_or_check(RECORD)
    tmp_path.chmod(0o700)


def test_no_hard_links_is_no_obstacle(local: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    local.folder.create("a", b"1")
    with pytest.raises(FileExistsError):
        local.folder.create("a", b"2")
    assert local.folder.read("a") == b"1"


def test_claim_sweeps_old_leftovers_and_spares_fresh_ones(local: RunFolder) -> None:
    fill(local)
    old, fresh = local.location.path / ".tmp-1-old", local.location.path / "owners/.tmp-1-fresh"
    old.mkdir()
    (old / "state").write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(old, (0, 0))
    local.claim()
    assert leftovers(local.location.path) == [fresh]
    assert all(".tmp-" not in name for name in local.folder.list())


# --- models ----------------------------------------------------------------------------------


def test_a_model_is_found_in_a_run_its_final_and_a_folder(run: RunFolder) -> None:
    fill(run, 1)
    with pytest.raises(NotFoundError, match="has not finished"):
        read_model(run.location)
    digest = save_model(run.location.child("final"), arrays(4), {"family": "full"})
    for place in (run.location, run.location.child("final")):
        found = read_model(place)
        assert found.sha256 == digest
        assert found.meta == {"family": "full"}
        assert np.array_equal(found.arrays["x"], arrays(4)["x"])
    assert run.read_final() is not None
    alone = run.location.child("elsewhere")
    assert save_model(alone, arrays(4), {"family": "full"}) == digest
    assert read_model(alone).sha256 == digest
    # A bucket has no folders that could be missing.
    told = "no folder" if run.location.is_local else "no model"
    with pytest.raises(NotFoundError, match=told):
        read_model(run.location.child("nowhere"))


@pytest.mark.parametrize("cut", range(4))
def test_a_model_replaced_half_way_is_the_old_or_the_new_one(
    run: RunFolder, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = run.location.child("model")
    save_model(place, arrays(1), {})
    kind, writes = type(open_folder(place)), []
    real = kind.write

    def write(self: Any, name: str, data: bytes) -> None:
        if len(writes) == cut:
            raise KeyboardInterrupt
        writes.append(name)
        real(self, name, data)

    monkeypatch.setattr(kind, "write", write)
    if cut < 3:
        with pytest.raises(KeyboardInterrupt):
            save_model(place, arrays(2), {})
    else:
        save_model(place, arrays(2), {})
    expected = arrays(1) if cut < 2 else arrays(2)
    assert np.array_equal(read_model(place).arrays["x"], expected["x"])


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_a_damaged_model_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    place = Location(str(tmp_path / "model"))
    save_model(place, arrays(3), {})
    if damage == "flip last" and file == "model.json":
        damage = "flip middle"
    DAMAGE[damage](place.path / file)
    with pytest.raises((CheckpointError, StorageError)) as caught:
        read_model(place)
    assert str(place) in str(caught.value)


def test_changed_data_is_said_to_have_changed() -> None:
    digests = [character * 64 for character in "ab"]
    records = [
        new_record({"config": {"k": 1}, "data": {"sampled_sha256": one}, "plan": one})
        for one in digests
    ]
    with pytest.raises(RunMismatchError) as caught:
        compare(*records, "runs/r")
    told = str(caught.value)
    assert told.startswith("runs/r belongs to a run whose data has changed since (stored -> ")
    # Whole texts, with both of their quotes.
    assert f'data.sampled_sha256: "{"a" * 55}..." -> "{"b" * 55}..."' in told
    assert told.endswith("use another run.key (another folder) for the present data.")
    caught.value.layer = "command"
    assert "use another --run (another folder)" in str(caught.value)


def test_other_settings_are_another_run_whatever_the_data() -> None:
    one, other = ({"config": {"k": k}, "data": {"rows": k}, "plan": "p"} for k in (1, 2))
    with pytest.raises(RunMismatchError, match="belongs to a different run") as caught:
        compare(new_record(one), new_record(other), "runs/r")
    assert "has changed since" not in str(caught.value)
