"""Labels that nobody can write are refused before the fit, not after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from emdist import KMeans
from emdist.errors import ConfigError
from emdist.jobs.combine import COMBINED
from emdist.jobs.describe import PROFILE
from emdist.jobs.label_target import labels_location
from emdist.jobs.uncertainty import UNCERTAINTY
from emdist.settings.config import make_config
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import OWN, PLAN
from tests.support.command_line import Command

FIT = ("fit", "x.zarr", "-k", 3, "--run", "runs/a")


@pytest.mark.parametrize("place", ["ckpt", "final/labels.zarr", "summary.json", "./survey"])
def test_labels_in_the_way_of_the_run(
    emdist: Command, data: Path, tmp_path: Path, place: str
) -> None:
    done = emdist(*FIT, "--labels", f"runs/a/{place}")
    assert done.code == 2
    name = place.removeprefix("./").partition("/")[0]
    assert f"stores its own {name} there. Set --labels to another place." in done.err
    assert not (tmp_path / "runs").exists()


def test_no_outputs(emdist: Command, data: Path, tmp_path: Path) -> None:
    done = emdist(*FIT, "--set", "labels.outputs=[]")
    assert done.code == 2
    assert "labels.outputs: expected at least one of labels, score" in done.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["labels.zip", "packed.ZIP", "labels.zip/inner"])
def test_labels_in_a_zip_file(emdist: Command, data: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "packed.ZIP").write_bytes(b"PK")
    done = emdist(*FIT, "--labels", place)
    assert done.code == 2
    assert "which a ZIP file does not allow. Give the path of a folder" in done.err
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "labels.zip").exists()
    with pytest.raises(ConfigError, match="ZIP file"):
        KMeans(2).fit([[0.0], [1.0]]).label([[0.0]], f"memory://a/{place.partition('/')[0]}")


def test_labels_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "runs/a", target_is_directory=True)
    with pytest.raises(ConfigError, match="its own ckpt"):
        placed(tmp_path / "link/ckpt", Location(str(tmp_path / "runs/a")))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert placed(loop / "ckpt", Location(str(tmp_path / "runs/a"))).name == "ckpt"


def test_labels_beside_what_a_run_keeps(tmp_path: Path) -> None:
    run = Location("s3://bucket/runs/a")
    assert placed("s3://bucket/runs/a/ckpt-labels", run).name == "ckpt-labels"
    assert placed(tmp_path / "ckpt", run).name == "ckpt"
    with pytest.raises(ConfigError, match="its own ckpt"):
        placed("s3://bucket/runs/a/ckpt/x", run)


def test_a_sweep_has_more_of_its_own(emdist: Command, data: Path, tmp_path: Path) -> None:
    where = ("--run", "runs/a", "--set", "labels.path=runs/a/models/labels.zarr")
    done = emdist("sweep", "x.zarr", "-k", "1..2", *where)
    assert done.code == 2
    assert "stores its own models there. Set labels.path to another place." in done.err
    assert not (tmp_path / "runs").exists()


#: What a run has only if somebody asks for it.
ASKED = {PLAN, PROFILE, UNCERTAINTY, COMBINED}


def test_all_that_a_run_makes_is_its_own(emdist: Command, data: Path, tmp_path: Path) -> None:
    assert emdist(*FIT).code == 0
    made = {path.name for path in (tmp_path / "runs/a").iterdir()}
    assert made == {*OWN, "labels.zarr"} - {"prepare", "from"} - ASKED
    prepared = (*FIT[:-1], "runs/prepared", "--prepare", "standardise")
    assert emdist(*prepared).code == 0
    assert emdist(*prepared[:-3], "runs/next", *prepared[-2:], "--from", "runs/prepared").code == 0
    made = {path.name for path in (tmp_path / "runs/next").iterdir()}
    assert made == {*OWN, "labels.zarr"} - ASKED


def placed(path: str | Path, run: Location) -> Location:
    values = {"data": {"path": "x.zarr"}, "labels": {"path": str(path)}}
    return labels_location(make_config(values, "here"), run)
