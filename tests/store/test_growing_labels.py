"""Labels that grow with their data: `emdist label --append`, and the parameter `append`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray

import emdist
from emdist import GaussianMixture
from emdist.errors import CheckpointError, ConfigError, RunMismatchError
from emdist.fit.passes import LabelBlock
from emdist.jobs.label import label_data
from emdist.settings.config import NewDataSection
from emdist.store.labels.check import damaged_blocks, is_labelled
from emdist.store.labels.place import label_mark
from emdist.store.labels.progress import read_progress
from emdist.store.places.location import Location
from tests.store.test_row_ranges import grow, rows_of, stored

OUTPUTS = ("labels", "score", "probability", "responsibilities")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m"
    GaussianMixture(3, random_state=0).fit(rows_of(900)).save(path)
    return path


def append(model: Path, data: Path, out: Path, outputs: Any = None, **more: Any) -> dict[str, Any]:
    found = {name: more.pop(name) for name in ("append", "overwrite") if name in more}
    section = NewDataSection(path=str(data), block_size="3200 B", **more)
    return label_data(
        Location(str(model)),
        section,
        Location(str(out)),
        None,
        outputs,
        **{"append": True, **found},
    )


def contents(path: Path) -> dict[str, NDArray[Any]]:
    group = zarr.open_group(path, mode="r")
    return {name: np.asarray(array[...]) for name, array in group.arrays() if name != "progress"}


def same(one: dict[str, NDArray[Any]], two: dict[str, NDArray[Any]]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("steps", [[500, 600, 1000], [450, 460, 470, 700], [100, 130, 1000]])
def test_labels_are_those_of_all_rows(steps: list[int], model: Path, tmp_path: Path) -> None:
    x = rows_of(steps[-1], 3)
    data, out = stored(tmp_path / "x.zarr", x[: steps[0]]), tmp_path / "labels.zarr"
    for before, now in zip([0, *steps], steps, strict=False):
        if before:
            grow(data, x[before:now])
        found = append(model, data, out, OUTPUTS if not before else None)
        assert found["rows"] == now
        assert is_labelled(Location(str(out)))
        wanted = emdist.load(model).predict(x[:now])
        assert contents(out)["labels"].tolist() == wanted.tolist()
        assert found["components"] == np.bincount(wanted, minlength=3).tolist()
        assert found["score"] == pytest.approx(emdist.load(model).score(x[:now]))
        opened = emdist.open_labels(out)
        assert dict(opened.sizes)["row"] == now
    again = append(model, data, tmp_path / "whole.zarr", OUTPUTS)
    assert again["components"] == found["components"]
    assert same(contents(out), contents(tmp_path / "whole.zarr"))


def labelled_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    own = LabelBlock._labelled

    def spied(self: LabelBlock, i: int) -> Any:
        seen.append(i)
        return own(self, i)

    monkeypatch.setattr(LabelBlock, "_labelled", spied)
    return seen


def test_only_new_rows_are_read(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = stored(tmp_path / "x.zarr", rows_of(650)), tmp_path / "labels.zarr"
    append(model, data, out)
    chunks = {p: p.stat().st_mtime_ns for p in (out / "labels/c").iterdir()}
    grow(data, rows_of(200, 1))
    seen = labelled_blocks(monkeypatch)
    append(model, data, out)
    assert sorted(seen) == [3, 4]  # Of 200 rows each; block 3 was not full.
    kept = [p for p, at in chunks.items() if p.stat().st_mtime_ns == at]
    assert sorted(p.name for p in kept) == ["0", "1", "2"]
    seen.clear()
    append(model, data, out)
    assert seen == []


def test_python_appends_and_any_labels_grow(model: Path, tmp_path: Path) -> None:
    x = rows_of(700, 2)
    data, out = stored(tmp_path / "x.zarr", x[:500]), tmp_path / "labels.zarr"
    estimator = emdist.load(model)
    estimator.label(str(data), out, outputs=["labels", "entropy"])
    grow(data, x[500:])
    with pytest.raises(RunMismatchError):
        estimator.label(str(data), out)
    estimator.label(zarr.open_array(data), out, append=True)
    assert contents(out).keys() == {"labels", "entropy"}
    assert contents(out)["labels"].tolist() == estimator.predict(x).tolist()
    with pytest.raises(ConfigError, match="data in Zarr or xarray only"):
        estimator.label(x, out, append=True)
    with pytest.raises(ConfigError, match="have labels, entropy, and the new rows get the same"):
        estimator.label(str(data), out, outputs=["score"], append=True)


_DAY = np.timedelta64(1, "D")


def grid(times: range, x: int = 7) -> xr.Dataset:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(40, x, 2)) + 6.0 * rng.integers(0, 3, (40, x, 1))
    part = whole[times.start : times.stop]
    return xr.Dataset(
        {"t": (("time", "x", "band"), part)},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + np.arange(times.start, times.stop) * _DAY,
            "x": np.arange(x) * 10.0,
            "area": (("time", "x"), part[..., 0]),
        },
    )


@pytest.mark.parametrize("block", ["112 B", "1 KiB", None])
def test_a_grid_grows_along_time(block: str | None, model: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "g.zarr", tmp_path / "labels.zarr"
    grid(range(8)).to_zarr(data, zarr_format=3, encoding={"t": {"chunks": (4, 3, 2)}})
    made = NewDataSection(path=str(data), features=["band"], block_size=block)

    def labelled(**more: Any) -> None:
        label_data(Location(str(model)), made, Location(str(out)), append=True, **more)

    labelled(outputs=("labels", "probability"))
    for first, last in ((8, 10), (10, 11), (11, 19)):
        grid(range(first, last)).to_zarr(data, append_dim="time")
        labelled()
        assert is_labelled(Location(str(out)))
        found = emdist.open_labels(out)
        wanted = grid(range(last))
        assert dict(found.sizes) == {"component": 3, "time": last, "x": 7}
        assert (found.time.values == wanted.time.values).all()
        assert (found.area == wanted.area).all()
        labels = emdist.load(model).predict(wanted.t.values.reshape(-1, 2))
        assert found["labels"].values.ravel().tolist() == labels.tolist()


def test_what_has_not_only_grown_is_refused(model: Path, tmp_path: Path) -> None:
    x = rows_of(650)
    data, out = stored(tmp_path / "x.zarr", x), tmp_path / "labels.zarr"
    append(model, data, out)
    before = contents(out)
    mark = label_mark(Location(str(out)))

    def refused(match: str, error: type[Exception] = RunMismatchError, **more: Any) -> None:
        with pytest.raises(error, match=match):
            append(more.pop("by", model), more.pop("of", data), more.pop("to", out), **more)
        assert same(contents(out), before)
        assert label_mark(Location(str(out))) == mark

    short = stored(tmp_path / "short.zarr", x[:300])
    refused("the data have 300 positions along row, and they have 650", of=short)
    other = tmp_path / "other"
    GaussianMixture(3, random_state=0).fit(x).save(other)
    changed = x.copy()
    changed[120] += 1
    longer = np.concatenate([changed, rows_of(50, 1)])
    refused("rows that have labels .* have changed", of=stored(tmp_path / "c.zarr", longer))
    grow(data, rows_of(50, 1))
    refused("of another model", by=other)
    refused("--append adds rows to labels, and --overwrite", ConfigError, overwrite=True)
    refused("does not go with labels that grow", ConfigError, select_rows="10:")
    append(model, data, out)
    assert len(contents(out)["labels"]) == 700


def test_labels_of_a_run_stay_its_own(tmp_path: Path) -> None:
    from tests.store.test_from import complete, values

    data = stored(tmp_path / "x.zarr", rows_of(300))
    complete(values(data, tmp_path, "r"))
    grow(data, rows_of(50, 1))
    with pytest.raises(RunMismatchError, match="the run wrote them beside its model"):
        append(tmp_path / "r", data, tmp_path / "r/labels.zarr")
    append(tmp_path / "r", data, tmp_path / "own.zarr")
    assert len(contents(tmp_path / "own.zarr")["labels"]) == 350


#: Ends the process at the n-th write of a file below the labels.
KILLED = """
import os, signal, sys
from pathlib import Path
import emdist.store.places.files_local as files
import emdist.store.chunks.writing as writing
import zarr.storage._local as local
from emdist.jobs.label import label_data
from emdist.settings.config import NewDataSection
from emdist.store.places.location import Location

model, data, out, left = sys.argv[1:5]
left = int(left)

def counted(module, name):
    own = getattr(module, name)
    def write(*args, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return own(*args, **more)
    setattr(module, name, write)

counted(files.LocalFolder, "write")
counted(writing, "put_part")
import emdist.store.labels.writer as writer
counted(writer, "put_part")
counted(local, "_put")
label_data(Location(model), NewDataSection(path=data, block_size="3200 B"), Location(out),
           append=True)
print("done")
"""


def test_killed_at_any_time_it_says_what_is_complete(model: Path, tmp_path: Path) -> None:
    """Each attempt gets a few writes further; in between, more rows come."""
    x = rows_of(1300, 4)
    data, out = stored(tmp_path / "x.zarr", x[:450]), tmp_path / "labels.zarr"
    append(model, data, out, OUTPUTS)
    grow(data, x[450:900])
    place, killed, states = Location(str(out)), 0, set()
    for writes in (0, 1, 3, 5, 7, 9, 12, 20):
        if writes == 7:
            grow(data, x[900:])
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, str(model), str(data), str(out), str(writes)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        killed += ran.returncode == -signal.SIGKILL
        assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
        mark = label_mark(place)
        assert mark is not None
        if ran.returncode:
            states.add((bool(mark.get("growing")), len(mark["identity"]["data"])))
            # What is said to be done is right, and what is not is told.
            assert not mark["complete"] or mark["layout"][0] == 450
            if mark.get("growing"):
                with pytest.raises(CheckpointError, match="emdist label --append"):
                    read_progress(place)
            else:
                assert list(damaged_blocks(place)) in ([], [4]) or mark["layout"][0] > 450
    assert killed >= 6
    assert {one for one, _ in states} == {True, False}
    append(model, data, out)
    assert is_labelled(place)
    append(model, data, tmp_path / "whole.zarr", OUTPUTS)
    assert same(contents(out), contents(tmp_path / "whole.zarr"))
    assert json.loads((out / "zarr.json").read_text())["attributes"]["emdist"]["complete"]
