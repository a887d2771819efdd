"""The configuration: what it accepts, how it says no, and what it never tells."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from pydantic import BaseModel

from emdist.composition.make import make_engine, make_source, run_location
from emdist.composition.model import make_model
from emdist.composition.sweep_config import make_sweep_config
from emdist.engines.clusters.address import Address
from emdist.engines.threads import LocalEngine
from emdist.errors import ConfigError, NotFoundError
from emdist.inputs.plugins import plugin, plugins
from emdist.inputs.validation import checked_options, parse_bytes
from emdist.inputs.written import WrittenFloat
from emdist.jobs.job import Job
from emdist.jobs.run import open_job
from emdist.settings.config import (
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
)
from emdist.settings.file import overridden, read_config, read_values
from emdist.untrusted.yaml import read_yaml
from tests.support.paths import ROOT

FOLDER = ROOT / "config"
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
        if name == "prepare":  # It is a list, and no section.
            assert given == field.get_default()
            continue
        if given is None:
            assert field.get_default() is None, name
            continue
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        # Keys that are no fields.
        extra = {"cluster": {"threads"}, "model": {"dissimilarity_options", "emission"}}.get(
            name, set()
        )
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
        ({"n_init": 2}, r"n_init is not a known key \(did you mean 'fit\.n_init'\?\)\."),
        ({"dta": {}}, r"dta is not a known key \(did you mean 'data'\?\)"),
        ({"fit": {"sede": 1}}, r"fit\.sede is not a known key \(did you mean 'seed'\?\)"),
        ({"fit": {"zzz": 1}}, r"fit\.zzz is not a known key; known keys: from, seed, init, start"),
        ({"ingest": {"sauce": "x"}}, r"did you mean 'source'"),
        ({"model": {"name": "fulll"}}, r"'fulll' is not known \(did you mean 'full'\?\)"),
        ({"model": {"name": "{0}"}}, r"'\{0\}' is not known"),
        ({"model": {"n_components": 0}}, r"model\.n_components: .* 1, got 0"),
        ({"model": {"n_components": None}}, "n_components"),
        ({"model": {"min_weight": 1}}, "min_weight"),
        ({"model": {"assignment": "firm"}}, "'firm' is not known; choose one of hard, soft, "),
        ({"fit": {"tol": float("nan")}}, "tol"),
        ({"fit": {"tol": float("inf")}}, r"fit\.tol: expected a finite number, got inf"),
        ({"cluster": {"stall_timeout": float("inf")}}, r"cluster\.stall_timeout: .* finite number"),
        ({"fit": {"seed": -1}}, "seed"),
        ({"fit": {"on_collapse": "ignore"}}, "'regularise', 'reseed', 'drop' or 'raise'"),
        ({"cluster": {"kind": "dask"}}, "'dask' is not known"),
        ({"run": {"key": ""}}, r"run\.key"),
        ({"run": {"checkpoint_seconds": 0}}, "checkpoint_seconds"),
        ({"labels": {"outputs": []}}, r"^[^\n]*labels\.outputs: expected at least one of"),
        ({"labels": {"outputs": ["lables"]}}, r"labels\.outputs\.0: .*'labels'.*got 'lables'"),
        ({"data": {"path": "x", "block_size": "0 MB"}}, r"data\.block_size: '0 MB' is not a size"),
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
    assert lines[0] == "the configuration: 3 errors"
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
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
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
    with pytest.raises(ConfigError, match="kmeans has no options"):
        make_model(ModelSection(options={"reg_covar": 1}))
    assert make_model(ModelSection(name="full", options={"reg_covar": 0.5})).family.reg_covar == 0.5


def test_options_of_threads_are_checked(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "x.zarr", shape=(4, 2), chunks=(4, 2), dtype="f8")
    array[:] = 1
    source = make_source(minimal(data={"path": str(tmp_path / "x.zarr")}).data)
    with (
        pytest.raises(
            ConfigError,
            match=r"cluster\.n_workers is not .* keys: kind, stall_timeout, memory, cache, threads",
        ),
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


# ---- YAML: what is taken as written, and what is refused


def read(tmp_path: Path, text: str, *settings: str) -> Config:
    (tmp_path / "c.yaml").write_text(text)
    return read_config(tmp_path / "c.yaml", settings)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data: {path: x}\nfit:\n  seed: 1\n  tol: 1\n  seed: 2\n", r"'seed' .* \(lines 3 and 5\)"),
        ("data: {path: x}\nfit: {seed: 1}\nmodel: {}\nfit: {}\n", r"'fit' .* \(lines 2 and 4\)"),
        ("data: {path: x, path: y}\n", r"'path' .* \(line 1\)"),
        ("data: {path: x}\nmodel:\n options:\n  groups:\n  - a: 1\n    b: 2\n    a: 3\n",
         r"'a' .* \(lines 5 and 7\)"),
        ("a: &a {path: x}\nb: &b {path: y}\ndata:\n  <<: *a\n  <<: *b\n", "lines 4 and 5"),
        ("data: {path: x}\nfit: {7: 1, '7': 2}\n", r"'7' .* \(line 2\)"),
        ("data: {path: x}\nfit: {? [a, b] : 1}\n", "line 2: a key must be a name"),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_refused_with_its_lines(
    tmp_path: Path, text: str, place: str
) -> None:
    with pytest.raises(ConfigError, match=place):
        read(tmp_path, text)


def test_a_key_may_overlay_what_is_merged(tmp_path: Path) -> None:
    text = "fit: &f {seed: 1, tol: 0.5}\ndata: {path: x}\n"
    config = make_config({**yaml.safe_load(text), "fit": {"seed": 2}})
    assert config.fit.seed == 2
    told = "data: &d {path: x, block_size: 1 MB}\nfit: {}\n"
    assert read(tmp_path, told + "ingest:\n  source: a.npy\n").data.block_size == "1 MB"
    values = read_yaml("base: &b {seed: 1, tol: 2}\nfit:\n  <<: *b\n  seed: 3\n")
    assert values["fit"] == {"seed": 3, "tol": 2}


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        ("010", "write 10 or 8"),
        ("-010", "write -10 or -8"),
        ("0o10", "write 8"),
        ("0x1F", "write 31"),
        ("0b101", "write 5"),
        ("08", "write 8"),
        ("1_000", "write 1000"),
        ("1:30", "write 90"),
        ("1:00:00", "write 3600"),
    ],
)
def test_a_number_that_readers_of_yaml_disagree_about_is_refused(
    tmp_path: Path, number: str, remedy: str
) -> None:
    for key in ("fit.seed", "model.n_components", "fit.tol", "run.checkpoint_seconds"):
        section, name = key.split(".")
        # Of a mapping that is merged, in a list and in a mapping without a name of its own.
        with pytest.raises(ConfigError, match=rf"{key}: '{number}' \(line 3\).*{remedy}"):
            read(tmp_path, f"data: {{path: x}}\n{section}:\n  {name}: {number}\n")
        with pytest.raises(ConfigError, match=rf"{key}: '{number}' is.*{remedy}"):
            read(tmp_path, "data: {path: x}\n", f"{key}={number}")
    with pytest.raises(ConfigError, match=rf"options.trials\[1\]: '{number}' \(line 2\).*{remedy}"):
        read(tmp_path, f"data: {{path: x}}\nmodel: {{options: {{trials: [1, {number}]}}}}\n")
    config = read(tmp_path, f"data: {{path: x}}\ncluster: {{threads: {number}}}\n")
    text = f"data: {{path: x}}\ncluster: {{kind: class, cluster_kwargs: {{n: {number}}}}}\n"
    with pytest.raises(ConfigError, match=rf"kwargs.n: '{number}' \(line 2\).*{remedy}"):
        read(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"threads: '{number}' \(line 2\).*{remedy}"):
        checked_options(LocalEngine, config.cluster.options, "cluster")
    (tmp_path / "s.yaml").write_text(f"data: {{path: x}}\nsweep: {{n_components: {number}}}\n")
    swept = read_values(tmp_path / "s.yaml")
    with pytest.raises(ConfigError, match=rf"n_components: '{number}' \(line 2\).*{remedy}"):
        make_sweep_config(swept)


@pytest.mark.parametrize(
    "name",
    ["2024-01-01", "2024-01-01T10:00:00", "12", "012", "0x1F", "1_000", "1:30", "1.10", "1e3",
     "yes", "No", "off", "true", "-3", ".5", "=", "1.2.3"],
)  # fmt: skip
def test_a_name_is_the_text_as_written(tmp_path: Path, name: str) -> None:
    text = f"""
data: {{path: {name}, array: {name}, storage_options: {{access_key_id: {name}}}}}
ingest: {{source: {name}, columns: [{name}, b], weight_column: {name}}}
run: {{key: {name}, folder: {name}}}
labels: {{path: {name}}}
cluster: {{kind: address, address: {name}}}
"""
    config = read(tmp_path, text, f"fit.start={name}")
    assert config.data.path == config.data.array == config.run.key == config.run.folder == name
    assert config.data.storage_options == {"access_key_id": name}
    assert config.ingest is not None
    assert (config.ingest.source, config.ingest.columns) == (name, [name, "b"])
    assert (config.labels.path, config.fit.start) == (name, name)
    options = json.loads(json.dumps(config.model_dump()))
    assert options["run"]["key"] == name
    assert config.cluster.options["address"] == name
    assert checked_options(Named, {"address": WrittenFloat("1.10")}, "cluster").address == "1.10"


@dataclass(frozen=True)
class Named:
    """Options of a cluster, as a plug-in has them."""

    address: str
    n: int = 1


def test_numbers_stay_numbers_where_numbers_are_wanted(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "data: {path: x}\nmodel: {n_components: 3, options: {a: 1e-4, b: [1, 2.5], c: -.inf}}\n"
        "fit: {tol: 1e-4, seed: 0, max_iter: +5}\nlabels: {write: no}\ncluster: {n: 7}\n",
    )
    assert (config.model.n_components, config.fit.tol, config.fit.max_iter) == (3, 1e-4, 5)
    assert config.model.options == {"a": 1e-4, "b": [1, 2.5], "c": -np.inf}
    assert type(config.model.options["a"]) is float
    assert type(config.model.options["b"][0]) is int
    assert type(config.model.n_components) is int
    assert config.labels.write is False
    found = checked_options(Named, {"address": "a", **config.cluster.options}, "cluster")
    assert (found.n, type(found.n)) == (7, int)
    for said in ("true", "yes", "on"):
        assert (
            read(tmp_path, f"data: {{path: x}}\nmodel: {{noise: {said}}}\n").model.noise is not None
        )
    for said in ("false", "no", "off", "", "null"):
        assert read(tmp_path, f"data: {{path: x}}\nmodel: {{noise: {said}}}\n").model.noise is None


def test_an_empty_section_is_one_of_defaults(tmp_path: Path) -> None:
    names = [name for name in Config.model_fields if name != "data"]
    empty = "".join(f"{name}:\n" for name in names)
    assert read(tmp_path, "data: {path: x}\n" + empty) == make_config({"data": {"path": "x"}})
    assert (
        read(tmp_path, "data:\n  path: x\n  storage_options:\nmodel:\n  options:\n").model.options
        == {}
    )
    with pytest.raises(ConfigError, match="data is missing"):
        read(tmp_path, "data:\nfit:\n")
    with pytest.raises(ConfigError, match=r"fit\.seed has no value.*leave fit\.seed out"):
        read(tmp_path, "data: {path: x}\nfit:\n  seed:\n")
    with pytest.raises(ConfigError, match=r"fit: expected a section, .*, got 3"):
        read(tmp_path, "data: {path: x}\nfit: 3\n")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"data:\n\tpath: x\n", "line 2, column 1: it contains a tab; indent with spaces"),
        (b"data: {path: x}\n---\nfit: {}\n", "line 2.*several documents"),
        ("data: {path: größe}\n".encode("latin-1"), r"not UTF-8 text \(byte 16 "),
        ("data: {path: x}\n".encode("utf-16"), r"not UTF-8 text \(byte 1 "),
        (b"data: {path: 'a\x00b'}\n", "x0000"),
        (b"data: path: x\n", "line 1.*a ':' is not allowed"),
        (b"data: {path: *x}\n", r"line 1, column 14: an alias .* has no anchor"),
        (b"data: [1\nfit: 3\n", r"line 2, column 4: a '\[' is not closed"),
        (b"data: [", "a value is missing here, or a bracket is not closed"),
        (b"data:\n  path: x\n fit:\n", "line 3, column 2: this line is not indented"),
        (b"data: {path: 'x}\n", "a quote is not closed"),
        (b"data: {path: @x}\n", "must be in quotes"),
        (b"", "holds no sections"),
        (b"# nothing\n", "holds no sections"),
        (b"- a\n- b\n", "holds no sections"),
    ],
)
def test_files_that_are_hardly_yaml(tmp_path: Path, raw: bytes, words: str) -> None:
    (tmp_path / "c.yaml").write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        read_config(tmp_path / "c.yaml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfdata: {path: x}\n")
    assert read_config(tmp_path / "c.yaml").data.path == "x"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("a\nb", "line break"),
        ("a\x00b", "cannot be printed"),
        ("a\x1b[31m", "cannot be printed"),
        ("x" * 5000, "5,000 bytes, but a name can have at most 200"),
        ("ä" * 101, "202 bytes"),
        ("a/b", "is a path, not a name"),
        ("..", "is a path"),
        (".", "is a path"),
        ("../x", "is a path"),
        (" a", "with a space"),
    ],
)
def test_a_key_that_is_no_name_of_a_folder_is_refused(key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"run\.key: .*{words}") as caught:
        minimal(run={"key": key})
    assert len(str(caught.value)) < 300
    with pytest.raises(ConfigError, match=f"the run key .*{words}"):
        run_location(minimal(), key)
    swept = make_sweep_config({"data": {"path": "x"}, "sweep": {"n_components": [2, 3, 4]}})
    with pytest.raises(ConfigError, match=f"the run key .*{words}"):
        run_location(swept, key)
    assert minimal(run={"key": "my run, 2024-01-01 (ä)"}).run.key == "my run, 2024-01-01 (ä)"


def test_a_fit_without_labels_may_ask_for_none() -> None:
    assert minimal(labels={"write": False, "outputs": []}).labels.outputs == []


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 0.0])
def test_a_scheduler_is_waited_for_as_long_as_a_clock_counts(seconds: float) -> None:
    with pytest.raises(ConfigError, match="must be a positive and finite number of seconds"):
        Address("tcp://127.0.0.1:1", timeout=seconds)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"fit": {"n_init": "x"}}, "fit.n_init: expected a whole number, got 'x'."),
        ({"fit": {"n_init": 2.5}}, "fit.n_init: expected a whole number, got 2.5."),
        ({"fit": {"n_init": 0}}, "fit.n_init: expected at least 1, got 0."),
        ({"fit": {"tol": "small"}}, "fit.tol: expected a number, got 'small'."),
        ({"fit": {"tol": float("nan")}}, "fit.tol: expected a finite number, got nan."),
        ({"fit": {"schedule_options": 3}},
         "fit.schedule_options: expected a mapping, as in {key: value}, got 3."),
        ({"data": {"path": ["x"]}}, "data.path: expected text, got ['x']."),
        ({"data": {"path": "x", "missing_chunks": "skip"}},
         "data.missing_chunks: expected 'raise', 'drop' or 'fill', got 'skip'."),
        ({"labels": {"outputs": "score"}}, "labels.outputs: expected a list, got 'score'."),
        ({"model": {"min_weight": 1.5}}, "model.min_weight: expected a number below 1, got 1.5."),
        ({"model": {"noise": "maybe"}},
         "model.noise: expected true, false or the weight of the noise, got 'maybe'."),
        ({"run": {"checkpoint_seconds": 0}},
         "run.checkpoint_seconds: expected a number above 0, got 0."),
    ],
    ids=str,
)  # fmt: skip
def test_faults_of_any_kind_are_told_in_our_words(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"data": {"path": "x"}, **sections})
    assert str(caught.value) == f"the configuration: {message}"
