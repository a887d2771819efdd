"""The configuration: what it accepts, how it says no, and what it never tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from pydantic import BaseModel

from emdist.build import make_engine, make_source
from emdist.build_model import make_model
from emdist.config import (
    ASSIGNMENTS,
    CLUSTERS,
    FAMILIES,
    SCHEDULES,
    ClusterSection,
    Config,
    FitSection,
    ModelSection,
    make_config,
    make_section,
    parse_bytes,
)
from emdist.config_file import overridden, read_config
from emdist.errors import ConfigError, NotFoundError
from emdist.job import Job, open_job
from emdist.plugins import plugin, plugins
from emdist.validation import checked_options

FOLDER = Path(__file__).parents[1] / "config"
FILES = sorted(FOLDER.glob("*.yaml"))
SECRET = "do-not-show-this"


def minimal(**sections: Any) -> Config:
    return make_config({"data": {"path": "x.zarr"}, **sections})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_that_we_ship_is_a_configuration(path: Path) -> None:
    config = read_config(path)
    make_model(config.model)
    if config.cluster.kind != "threads":
        cluster = plugin(CLUSTERS, "cluster", config.cluster.kind)
        checked_options(cluster, config.cluster.options, "cluster")


def _defaults(section: type[BaseModel]) -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True)
            for name, field in section.model_fields.items()
            if not field.is_required()}  # fmt: skip


def test_the_reference_lists_every_key_with_its_default() -> None:
    values = yaml.safe_load((FOLDER / "reference.yaml").read_text())
    assert list(values) == list(Config.model_fields)
    for name, field in Config.model_fields.items():
        given = values[name]
        if given is None:
            assert field.get_default() is None, name
            continue
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        extra = {"threads"} if name == "cluster" else set()
        assert set(given) - extra == set(section.model_fields), name
        for key, default in _defaults(section).items():
            assert given[key] == default, f"{name}.{key}"


def test_the_reference_names_what_may_be_chosen() -> None:
    text = (FOLDER / "reference.yaml").read_text()
    for name in [
        *plugins(FAMILIES, "family"),
        *plugins(CLUSTERS, "cluster"),
        *plugins(ASSIGNMENTS, "assignment"),
        *plugins(SCHEDULES, "schedule"),
    ]:
        assert re.search(rf"\b{name}\b", text), f"{name} is not in reference.yaml"


def test_only_the_path_of_the_data_is_needed() -> None:
    config = minimal()
    assert config.model.name == "kmeans"
    assert config.cluster.kind == "threads"
    assert config.data.block_bytes is None
    with pytest.raises(ConfigError, match="data is missing"):
        make_config({})
    with pytest.raises(ConfigError, match=r"data\.path is missing"):
        make_config({"data": {}})


def test_a_configuration_does_not_change() -> None:
    config = minimal()
    with pytest.raises(ValueError, match="frozen"):
        config.fit.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"dta": {}}, r"dta is not a known key \(did you mean 'data'\?\)"),
        ({"fit": {"sede": 1}}, r"fit\.sede is not a known key \(did you mean 'seed'\?\)"),
        ({"fit": {"zzz": 1}}, r"fit\.zzz is not a known key; known here: seed, init, start"),
        ({"ingest": {"sauce": "x"}}, r"did you mean 'source'"),
        ({"model": {"name": "fulll"}}, r"'fulll' is not known \(did you mean 'full'\?\)"),
        ({"model": {"name": "{0}"}}, r"'\{0\}' is not known"),
        ({"model": {"n_components": 0}}, r"model\.n_components: .* 1, got 0"),
        ({"model": {"n_components": None}}, "n_components"),
        ({"model": {"min_weight": 1}}, "min_weight"),
        ({"model": {"assignment": "firm"}}, "'firm' is not known; choose one of hard, soft, "),
        ({"fit": {"tol": float("nan")}}, "tol"),
        ({"fit": {"seed": -1}}, "seed"),
        ({"fit": {"on_collapse": "ignore"}}, "'regularise', 'reseed', 'drop' or 'raise'"),
        ({"cluster": {"kind": "dask"}}, "'dask' is not known"),
        ({"run": {"key": ""}}, r"run\.key"),
        ({"run": {"checkpoint_seconds": 0}}, "checkpoint_seconds"),
        ({"labels": {"outputs": ["lables"]}}, r"labels\.outputs\.0: .*'labels'.*got 'lables'"),
        ({"data": {"path": "x", "block_size": "0 MB"}}, r"data\.block_size: '0 MB' is no size"),
        ({"data": {"path": "x", "block_size": 5}}, "block_size"),
        ({"data": "x.zarr"}, "data: "),
        ({"data": {"path": None}}, r"data\.path"),
    ],
)
def test_a_mistake_is_placed_and_mended(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        minimal(**sections)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        minimal(fit={"sede": 1, "tol": -1}, model={"n_components": 0})
    lines = str(caught.value).splitlines()
    assert lines[0] == "the configuration: 3 faults"
    assert len(lines) == 4


def test_a_section_speaks_in_the_words_of_its_caller() -> None:
    with pytest.raises(ConfigError, match=r"^KMeans: n_clusters: .* got 0\.$"):
        make_section(ModelSection, {"n_components": 0}, "KMeans", {"n_components": "n_clusters"})


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("1 B", 1),
        ("64MB", 64_000_000),
        ("64 MiB", 64 << 20),
        (" 1.5 gib ", 3 << 29),
        ("2KB", 2000),
        ("1 TiB", 1 << 40),
    ],
)
def test_sizes(text: str, nbytes: int) -> None:
    assert parse_bytes(text) == nbytes
    assert minimal(data={"path": "x", "block_size": text}).data.block_bytes == nbytes


@pytest.mark.parametrize(
    "text", ["", "5", "MB", "-1 MB", "0 MB", "0.1 B", "1 PB", "1e3 MB", "1,5 MB", "1 MB 2"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="write for example '128 MiB'"):
        parse_bytes(text)


def test_settings_are_laid_over_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {path: x.zarr}\nfit: {seed: 1, tol: 0.5}\n")
    config = read_config(path, ["fit.seed=7", "model.options.a=[1, x]", "run.key=null"])
    assert (config.fit.seed, config.fit.tol) == (7, 0.5)
    assert config.model.options == {"a": [1, "x"]}
    assert read_config(path).fit.seed == 1
    path.write_text("data: {path: x.zarr}\nfit:\n")
    assert read_config(path, ["fit.seed=7"]).fit.seed == 7


def test_settings_leave_what_they_are_laid_over_alone() -> None:
    values = {"model": {"options": {"a": 1}}}
    assert overridden(values, ["model.options.b=2"]) == {"model": {"options": {"a": 1, "b": 2}}}
    assert values == {"model": {"options": {"a": 1}}}


@pytest.mark.parametrize("text", ["", "=", "fit", "fit.=1", ".seed=1", "fit..seed=1"])
def test_settings_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"wanted section\.key=value"):
        overridden({}, [text])


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text("data: [")
    with pytest.raises(ConfigError, match=r"fit\.yaml is not YAML"):
        read_config(tmp_path / "fit.yaml")
    with pytest.raises(NotFoundError, match=r"did you mean 'fit\.yaml'"):
        read_config(tmp_path / "fti.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_config(tmp_path / "binary.yaml")
    (tmp_path / "code.yaml").write_text("data: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_config(tmp_path / "code.yaml")
    with pytest.raises(NotFoundError):
        read_config(tmp_path)


def test_the_identity_is_what_decides_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = minimal().identity()
    for same in (
        {"data": {"path": str(tmp_path / "x.zarr")}},
        {"data": {"path": "x.zarr", "storage_options": {"region": "a"}}},
        {"run": {"key": "other"}},
        {"cluster": {"kind": "local", "n_workers": 5}},
        {"labels": {"write": False}},
    ):
        assert minimal(**same).identity() == wanted
    for other in (
        {"data": {"path": "y.zarr"}},
        {"data": {"path": "x.zarr", "block_size": "1 MB"}},
        {"data": {"path": "x.zarr", "weights": "w.zarr"}},
        {"model": {"n_components": 9}},
        {"fit": {"seed": 1}},
    ):
        assert minimal(**other).identity() != wanted


def secretive(path: Path) -> dict[str, Any]:
    options = {"secret_access_key": SECRET}
    return {
        "data": {"path": str(path), "storage_options": options},
        "model": {"n_components": 2},
        "run": {"folder": str(path.parent / "runs"), "key": "r", "storage_options": options},
        "labels": {"storage_options": options, "path": str(path.parent / "l.zarr")},
    }


def test_secrets_are_in_nothing_that_is_shown() -> None:
    config = make_config(secretive(Path("/data/x.zarr")))
    assert config.data.storage_options == {"secret_access_key": SECRET}
    assert SECRET not in repr(config) + str(config) + json.dumps(config.identity())
    for section in (config.data, config.run, config.labels):
        assert SECRET not in repr(section)


def test_secrets_are_in_nothing_that_is_stored(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "x.zarr", shape=(40, 2), chunks=(10, 2), dtype="f8")
    array[:] = np.random.default_rng(0).normal(size=(40, 2)) + 1
    told: list[str] = []
    config = make_config(secretive(tmp_path / "x.zarr"))
    with open_job(config, listen=lambda event: told.append(repr(event))) as job:
        assert isinstance(job, Job)
        job.complete()
        assert SECRET not in repr(job.source)
    assert told
    assert SECRET not in "".join(told)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "run.json" for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "options",
    [
        {"key": [SECRET]},
        {"key": {"inner": SECRET}},
        SECRET,
        [SECRET],
        {"key": None, "other": SECRET},
    ],
)
def test_a_mistake_in_secrets_does_not_tell_them(options: Any) -> None:
    with pytest.raises(ConfigError, match="storage_options") as caught:
        minimal(data={"path": "x", "storage_options": options})
    assert SECRET not in str(caught.value)


def test_storage_options_may_be_numbers_and_booleans() -> None:
    options = {"allow_http": True, "timeout": 5, "region": "eu"}
    config = minimal(data={"path": "x", "storage_options": options})
    assert config.data.storage_options == {"allow_http": "true", "timeout": "5", "region": "eu"}


def test_a_password_in_a_url_is_not_stored() -> None:
    config = minimal(data={"path": f"https://user:{SECRET}@host/x.zarr"})
    assert SECRET not in json.dumps(config.identity())


def test_options_of_a_plug_in_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"model\.options\.reg_cov .*did you mean 'reg_covar'"):
        make_model(ModelSection(name="full", options={"reg_cov": 1}))
    with pytest.raises(ConfigError, match="reg_covar"):
        make_model(ModelSection(name="full", options={"reg_covar": "much"}))
    with pytest.raises(ConfigError, match="kmeans has none"):
        make_model(ModelSection(options={"reg_covar": 1}))
    assert make_model(ModelSection(name="full", options={"reg_covar": 0.5})).family.reg_covar == 0.5


def test_options_of_threads_are_checked(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "x.zarr", shape=(4, 2), chunks=(4, 2), dtype="f8")
    array[:] = 1
    source = make_source(minimal(data={"path": str(tmp_path / "x.zarr")}).data)
    with (
        pytest.raises(ConfigError, match=r"cluster\.n_workers is not a known key"),
        make_engine(ClusterSection(kind="threads", n_workers=2), source),  # type: ignore[call-arg]
    ):
        pass
    for threads in (0, -1, "many"):
        with (
            pytest.raises(ConfigError, match="threads"),
            make_engine(ClusterSection(threads=threads), source),  # type: ignore[call-arg]
        ):
            pass


def test_every_default_is_valid() -> None:
    assert make_section(FitSection, FitSection().model_dump()) == FitSection()
    assert make_config(minimal().model_dump()) == minimal()
