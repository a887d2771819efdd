"""What earlier versions stored: read, verified, labelled with and finished by this one.

Each archive in tests/kept is what one version made (see tests/kept/make.py), with what that version
itself came to. Bits are compared where the kind of CPU and the packages that compute are the same,
numbers where they are not.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.main import get_command

import emdist
from emdist.cli.application import app
from emdist.errors import CheckpointError
from emdist.inputs.plugins import plugins
from emdist.prepare.making import STEPS
from emdist.runtime.arithmetic import arithmetic
from emdist.settings.config import (
    ASSIGNMENTS,
    DISSIMILARITIES,
    FAMILIES,
    SCHEDULES,
    SEEDERS,
    WEIGHTS,
)
from tests.kept import entries, numbers_kept
from tests.kept.numbers_kept import Arrays

KEPT = Path(__file__).parents[1] / "kept"

ARCHIVES = sorted(KEPT.glob("*.tar.xz"))
#: Relative, where the last bits may differ: some fits have the arithmetic of float32.
CLOSE = 1e-5

#: Runs that store what others do: finished, and labelled with, by `make test-slow` alone.
ALIKE = re.compile(
    "(killed-)?(init-.*|kcentroids-(?!cosine).*|weights-(?!variational_process).*|full-noise"
    "|full-prior|bernoulli-smoothing|kmeans-weights|diagonal-missing|kmeans-missing"
    "|diagonal-dropped|kmeans-float32|full-float32|full-far|full-converged|full-unlabelled)"
    "|(recorded|surveyed|first-torn|iterated|model-torn|modelled|labelled)-tied-noise"
)

needs_links = pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="what is kept is found by /proc/self/cwd"
)


@cache
def told(archive: Path) -> dict[str, Any]:
    """What an archive says that it holds: its first file."""
    with tarfile.open(archive) as packed:
        first = packed.next()
        assert first is not None
        assert first.name.endswith("/expected.json"), "expected.json has to come first"
        stream = packed.extractfile(first)
        assert stream is not None
        found: dict[str, Any] = json.load(stream)
    return found


def computes_alike(found: dict[str, Any]) -> bool:
    """Whether this process computes with what made an archive."""
    then, now = found["versions"], arithmetic()
    names = ("machine", "cpu", "blas", "numpy", "scipy", "numba", "llvmlite")
    same = all(then.get(name) == now.get(name) for name in names)
    return same and found["cpu_mark"] == numbers_kept.mark()


def of(
    *kinds: str, finished: bool | None = None, alike: re.Pattern[str] | None = None
) -> pytest.MarkDecorator:
    """A test of every entry of these kinds in every archive; finished, unfinished or any.

    Those whose names match `alike` are slow.
    """
    found = [
        (archive, key)
        for archive in ARCHIVES
        for key, entry in told(archive)["entries"].items()
        if entry["kind"] in kinds and finished in (None, entry["state"] == "finished")
    ]
    cases = [
        pytest.param(
            archive,
            key,
            id=f"{key}-{archive.name.removesuffix('.tar.xz')}",
            marks=[pytest.mark.slow] if alike and alike.fullmatch(key) else [],
        )
        for archive, key in found
    ]
    return pytest.mark.parametrize(("kept", "key"), cases, indirect=["kept"])


@dataclass(frozen=True)
class Kept:
    """An archive that is unpacked below the current folder."""

    name: str
    told: dict[str, Any]
    arrays: Any
    #: Whether this process computes with what the archive was made with.
    same_bits: bool

    def entry(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.told["entries"][key]
        return found

    def run(self, key: str) -> Path:
        return Path(self.name) / "runs" / key

    def agree(self, found: Arrays, wanted: dict[str, str]) -> None:
        """Fail unless `found` are the arrays of the digests `wanted`; there may be more by now."""
        assert wanted.keys() <= found.keys()
        for name, digest in wanted.items():
            if self.same_bits:
                assert numbers_kept.digest(found[name]) == digest, name
            elif name == "labels":
                assert np.mean(found[name] == self.arrays[digest]) > 0.99
            else:
                np.testing.assert_allclose(
                    found[name], self.arrays[digest], rtol=CLOSE, atol=CLOSE, err_msg=name
                )


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Kept]]:
    """All archives, in one folder, which is the current one."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("kept")
    found = {}
    for archive in ARCHIVES:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        name = archive.name.removesuffix(".tar.xz")
        with np.load(folder / name / "expected.npz") as arrays:
            found[archive] = Kept(name, told(archive), dict(arrays), computes_alike(told(archive)))
    os.chdir(folder)
    yield found
    os.chdir(before)


@pytest.fixture
def kept(unpacked: dict[Path, Kept], request: pytest.FixtureRequest) -> Kept:
    return unpacked[request.param]


#: Made once: making it takes longer than most commands.
COMMAND = get_command(app)


def command(*arguments: object) -> str:
    """What a command prints that has to succeed."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            COMMAND([str(a) for a in arguments], prog_name="emdist")
        except SystemExit as end:
            code = end.code  # type: ignore[assignment]
    assert code in (0, None), f"{code} {out.getvalue()[-2000:]} {errors.getvalue()[-2000:]}"
    return out.getvalue()


def check(kept: Kept, key: str) -> None:
    """Fail unless the run is finished, sound, and as its own version ended it."""
    entry, run = kept.entry(key), kept.run(key)
    found = json.loads(command("inspect", run, "--verify", "--json"))
    assert found["done"]
    kept.agree(numbers_kept.loaded(run), entry["numbers"])
    if "labels" in entry:
        assert found["labels_complete"]
        assert found["blocks_damaged"] == []
        kept.agree(numbers_kept.labels_of(run / "labels.zarr"), entry["labels"])
    for name, wanted in entry.get("models", {}).items():
        kept.agree(numbers_kept.loaded(run / "models" / name), wanted)


def start(kept: Kept, key: str) -> str:
    """Start the run again, as it was started."""
    return command(kept.entry(key)["kind"], "-f", f"{kept.name}/configs/{key}.yaml", "--json")


def labels_again(kept: Kept, key: str, out: Path) -> None:
    """Fail unless `emdist label` gives the rows of a run the labels that it has."""
    entry = kept.entry(key)
    data = entry["data"] + (f"/{entry['array']}" if entry["array"] else "")
    command("label", kept.run(key), data, out, "--quiet", "--set", "cluster.threads=1")
    kept.agree(numbers_kept.labels_of(out), {"labels": entry["labels"]["labels"]})


def test_something_is_kept() -> None:
    assert ARCHIVES
    for archive in ARCHIVES:
        assert archive.stat().st_size < 1_000_000
        assert archive.name == f"{told(archive)['emdist']}.tar.xz"


def test_all_that_is_known_by_name_is_kept_next_time() -> None:
    models = [values["model"] for values in entries.FITS.values()]
    fits = [values["fit"] for values in entries.FITS.values()]
    assert {model["name"] for model in models} == {
        *("kmeans", "kmedians", "kcentroids"),
        *plugins(FAMILIES, "family"),
    }
    for package, kind, default, found in [
        (SCHEDULES, "schedule", "auto", {"batch", *(fit.get("schedule") for fit in fits)}),
        (SEEDERS, "seeder", "", {fit.get("init") for fit in fits}),
        (ASSIGNMENTS, "assignment", "soft", {model.get("assignment") for model in models}),
        (WEIGHTS, "weights", "free", {model.get("weights") for model in models}),
        (DISSIMILARITIES, "dissimilarity", "", {model.get("dissimilarity") for model in models}),
    ]:
        assert {*plugins(package, kind)} == {*found, default} - {None, ""}, kind
    prepared = [step for values in entries.FITS.values() for step in values.get("prepare", ())]
    assert {*plugins(STEPS, "step")} == {next(iter([*one] if isinstance(one, dict) else [one]))
                                         for one in prepared}  # fmt: skip
    made = {kind for kind, _, _ in entries.estimators().values()}
    functions = {
        "align",
        "commit_labels",
        "export",
        "load",
        "load_distribution",
        "open_labels",
        "rows",
    }
    assert made == {*emdist.__all__} - {"Sweep", "MLflowCallback", *functions}


@needs_links
@of("fit", "sweep", finished=True)
def test_a_finished_run_is_read(kept: Kept, key: str) -> None:
    check(kept, key)


@needs_links
@of("fit", "sweep", finished=True, alike=ALIKE)
def test_a_finished_run_labels_again(kept: Kept, key: str, tmp_path: Path) -> None:
    if "labels" in kept.entry(key):
        labels_again(kept, key, tmp_path / "labels.zarr")


@needs_links
@pytest.mark.parametrize("key", ["poisson", "full-starts", "done-extend-full", "sweep-families"])
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_a_finished_run_that_is_started_again_stays(
    archive: Path, key: str, unpacked: dict[Path, Kept]
) -> None:
    kept = unpacked[archive]
    if key in kept.told["entries"]:
        start(kept, key)
        check(kept, key)


@pytest.mark.long
@needs_links
@of("fit", "sweep", finished=False, alike=ALIKE)
def test_an_unfinished_run_is_finished(kept: Kept, key: str) -> None:
    start(kept, key)
    check(kept, key)


@needs_links
@of("label")
def test_labels_are_read_or_completed(kept: Kept, key: str) -> None:
    out = Path(kept.name) / "labels" / key
    command(*kept.entry(key)["command"])
    found = json.loads(command("inspect", out, "--verify", "--json"))
    assert found["complete"]
    assert found["blocks_damaged"] == []
    kept.agree(numbers_kept.labels_of(out), kept.entry(key)["labels"])


@needs_links
@of("model")
def test_a_saved_model_predicts_as_before(kept: Kept, key: str) -> None:
    entry = kept.entry(key)
    path = Path(entry["path"])
    kept.agree(numbers_kept.loaded(path), entry["numbers"])
    x = np.asarray(zarr.open_array(entry["data"], mode="r")[:])
    kept.agree({"labels": numbers_kept.predicted(path, x)}, entry["labels"])


@needs_links
@pytest.mark.parametrize("damaged", ["final/model.safetensors", "labels.zarr/labels/c/1", ""])
@pytest.mark.parametrize("archive", ARCHIVES[-1:], ids=lambda path: path.name)
def test_damage_would_be_noticed(
    archive: Path,
    damaged: str,
    unpacked: dict[Path, Kept],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = unpacked[archive]
    for key in ("full", "tied"):
        shutil.copytree(kept.run(key), tmp_path / kept.run(key))
    monkeypatch.chdir(tmp_path)
    check(kept, "full")
    if damaged:
        file = kept.run("full") / damaged
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)
    else:  # another run's model and labels, which are sound
        shutil.rmtree(kept.run("full"))
        shutil.copytree(kept.run("tied"), kept.run("full"))
    with pytest.raises((AssertionError, CheckpointError)):
        check(kept, "full")


@needs_links
@pytest.mark.parametrize("archive", ARCHIVES[-1:], ids=lambda path: path.name)
def test_another_number_would_be_noticed(archive: Path, unpacked: dict[Path, Kept]) -> None:
    kept = unpacked[archive]
    wanted = kept.entry("full")["numbers"]
    found = numbers_kept.loaded(kept.run("full"))
    kept.agree(found, wanted)
    moved = found["means_"] * (1 + 1e-3)
    with pytest.raises(AssertionError):
        kept.agree(found | {"means_": moved}, wanted)
    with pytest.raises(AssertionError):
        kept.agree({name: array for name, array in found.items() if name != "means_"}, wanted)
