"""Every kind of mistake has its exit code and one message with the remedy, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support.command_line import Command, process


def _nan(folder: Path) -> None:
    array = zarr.create_array(folder / "nan.zarr", shape=(30, 2), chunks=(10, 2), dtype="f8")
    array[:] = np.arange(60.0).reshape(30, 2)
    array[14, 1] = np.nan


def _half(folder: Path) -> None:
    array = zarr.create_array(folder / "half.zarr", shape=(30, 2), chunks=(10, 2), dtype="f8")
    array[:10] = 1


def _file(folder: Path) -> None:
    (folder / "rows.csv").write_text("1,2\n")


def _yaml(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "c.yaml").write_text(text) and None


def _nothing(folder: Path) -> None:
    pass


WRONG: dict[str, tuple[str, int, str, Callable[[Path], None]]] = {
    # 2: settings
    "no data": ("fit", 2, "There is no data to fit", _nothing),
    "k = 0": ("fit x.zarr -k 0", 2, "-k: expected at least 1", _nothing),
    "k is no number": ("fit x.zarr -k many", 2, "-k", _nothing),
    "an unknown option": ("fit x.zarr --sede 3", 2, "--sede", _nothing),
    "an unknown command": ("fti x.zarr", 2, "fti", _nothing),
    "an unknown key": ("fit x.zarr --set fit.sede=3", 2, "did you mean 'seed'", _nothing),
    "an unknown section": ("fit x.zarr --set modle.k=3", 2, "did you mean 'model'", _nothing),
    "no key": ("fit x.zarr --set seed", 2, "section.key=value", _nothing),
    "a key in a value": (
        "fit x.zarr --set fit.seed.a=3",
        2,
        "fit.seed: expected a whole number",
        _nothing,
    ),
    "no YAML": ("fit x.zarr --set fit.seed=[", 2, "--set", _nothing),
    "an unknown family": ("fit x.zarr -m ful", 2, "did you mean 'full'", _nothing),
    "an unknown seeder": ("fit x.zarr --init kmeans++", 2, "did you mean 'k-means++'", _nothing),
    "an unknown family option": (
        "fit x.zarr -m full --set model.options.reg_cov=1",
        2,
        "did you mean 'reg_covar'",
        _nothing,
    ),
    "a bad family option": (
        "fit x.zarr -m full --set model.options.reg_covar=-1",
        2,
        "reg_covar",
        _nothing,
    ),
    "an option of kmeans": (
        "fit x.zarr --set model.options.a=1",
        2,
        "kmeans has no options",
        _nothing,
    ),
    "k > n": ("fit x.zarr -k 301", 2, "301 components for 300 rows", _nothing),
    "two clusters": (
        "fit x.zarr --workers 1 --scheduler tcp://a:1",
        2,
        "Pass only one of them",
        _nothing,
    ),
    "no workers": ("fit x.zarr --workers 0", 2, "--workers=0; expected a whole", _nothing),
    "an unknown cluster": ("fit x.zarr --set cluster.kind=dask", 2, "cluster.kind", _nothing),
    "a cluster's unknown key": (
        "fit x.zarr --workers 1 --set cluster.memory_limits=1GB",
        2,
        "did you mean 'memory_limit'",
        _nothing,
    ),
    "no address": (
        "fit x.zarr --scheduler here",
        2,
        "--scheduler='here' is not the address of a scheduler",
        _nothing,
    ),
    "an empty run": ("fit x.zarr --run ''", 2, "--run: '' is empty; give the run a name", _nothing),
    "a run that climbs": ("fit x.zarr --run a/..", 2, "is a path, not a name", _nothing),
    "no start": ("fit x.zarr --set fit.start=no.npz", 3, "no.npz", _nothing),
    "sections of label": ("label m x.zarr l.zarr --set fit.seed=1", 2, "fit is not", _nothing),
    "a broken file": ("fit -f c.yaml", 2, "c.yaml is not YAML", _yaml("data: [")),
    "an empty file": ("fit -f c.yaml", 2, "holds no sections", _yaml("")),
    "a name for a section": ("fit -f c.yaml -k 3", 2, "model is 'full'", _yaml("model: full")),
    "no data in a file": ("fit -f c.yaml", 2, "data is missing", _yaml("model: {}")),
    "a file's unknown key": (
        "fit -f c.yaml",
        2,
        "did you mean 'path'",
        _yaml("data: {path: x.zarr, pth: 3}"),
    ),
    # 3: data
    "no configuration file": ("fit -f none.yaml", 3, "no configuration file", _nothing),
    "no array": ("fit y.zarr", 3, "did you mean 'x.zarr'", _nothing),
    "a file": ("fit rows.csv", 3, "emdist ingest rows.csv rows.zarr", _file),
    "a folder": ("fit .", 3, "folder without the metadata of an array", _nothing),
    "NaN": ("fit nan.zarr -k 2", 3, "row 14 has nan in feature 1", _nan),
    "unwritten": ("fit half.zarr -k 2", 3, "never written", _half),
    "nothing to inspect": ("inspect none", 3, "nothing at", _nothing),
    "a file to inspect": ("inspect rows.csv", 3, "emdist ingest rows.csv", _file),
    "nothing to ingest": ("ingest none.npy a.zarr", 3, "none.npy", _nothing),
    "no model": ("label x.zar x.zarr l.zarr", 3, "x.zar (did you mean 'x.zarr'?)", _nothing),
    "no model in a folder": ("label x.zarr x.zarr l.zarr", 3, "Give the folder of a", _nothing),
    "no run to repeat": ("fit --repeat none", 3, "There is no folder", _nothing),
    # 5: storage
    "a file in the way": ("fit x.zarr --run rows.csv/r", 5, "not a folder", _file),
    # 6: cluster
    "no scheduler": (
        "fit x.zarr --scheduler tcp://127.0.0.1:9 --set cluster.timeout=0.5",
        6,
        "no Dask scheduler answered at tcp://127.0.0.1:9 within 0.5 s",
        _nothing,
    ),
    # 7: collapse
    "a collapse": (
        "fit x.zarr -m full -k 2 --set model.min_weight=0.9 --set fit.on_collapse=raise",
        7,
        "0.9 or less of the weight of the rows is left",
        _nothing,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake(name: str, emdist: Command, data: Path, tmp_path: Path) -> None:
    command, code, words, prepare = WRONG[name]
    prepare(tmp_path)
    answer = emdist(*("" if word == "''" else word for word in command.split()))
    assert answer.code == code, answer.err
    assert words in " ".join(answer.err.replace("│", " ").split())
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_a_run_of_other_data(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r")
    before = Path("r/run.json").read_bytes()
    answer = emdist("fit", data, "-k", 2, "--run", "r", "--seed", 3)
    assert answer.code == 4
    assert "\n  -k: 3 -> 2\n" in answer.err
    assert "seed: 0 -> 3" in answer.err
    assert Path("r/run.json").read_bytes() == before
    zarr.open_array(data)[0] = 5.0
    changed = emdist("fit", data, "-k", 3, "--run", "r")
    assert changed.code == 4
    assert "data." in changed.err


def test_labels_in_the_way(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r", "--no-labels")
    Path("l.zarr").mkdir()
    Path("l.zarr/precious.txt").write_text("mine")
    for command in (
        ("label", "r", data, "l.zarr"),
        ("fit", data, "-k", 2, "--labels", "l.zarr"),
    ):
        answer = emdist(*command)
        assert answer.code == 4, answer.err
        assert Path("l.zarr/precious.txt").read_text() == "mine"


def test_another_number_of_features(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r", "--no-labels")
    other = zarr.create_array("o.zarr", shape=(5, 3), chunks=(5, 3), dtype="f8")
    other[:] = 1
    answer = emdist("label", "r", "o.zarr", "l.zarr")
    assert answer.code == 3
    assert "fitted to 2 features, but the data have 3" in answer.err
    assert not Path("l.zarr").exists()


def test_an_unknown_output(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r", "--no-labels")
    answer = emdist("label", "r", data, "l.zarr", "-o", "lables")
    assert answer.code == 2, answer.err
    assert "lables" in answer.err
    assert "responsibilities" in answer.err
    assert not Path("l.zarr").exists()


def test_a_damaged_model(emdist: Command, data: Path) -> None:
    emdist("fit", data, "-k", 3, "--run", "r", "--no-labels")
    Path("r/final/model.safetensors").write_bytes(b"")
    assert emdist("label", "r", data, "l.zarr").code == 4
    assert emdist("inspect", "r/final").code == 4


def test_a_run_folder_that_cannot_be_written(data: Path) -> None:
    import os

    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    closed = data.parent / "closed"
    closed.mkdir(mode=0o500)
    running = process("fit", data, "--run", "closed/r", cwd=data.parent)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 5
    assert "closed" in err


def test_a_full_disk(emdist: Command, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from emdist.store.places import files_local

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files_local, "_write_new", full)
    answer = emdist("fit", data, "-k", 3, "--run", "r")
    assert answer.code == 5
    assert "space" in answer.err.lower()
