"""Bytes and text from elsewhere: read, or refused by the one error that says so. No code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emdist.engines.clusters.by_class import TRUST, ByClass
from emdist.errors import CheckpointError, ConfigError
from emdist.settings.config import make_config
from emdist.settings.file import read_config
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.untrusted.yaml import read_yaml
from tests.hostile.parsers import OF_BYTES, OF_TEXT, met
from tests.support.paths import ROOT, module

SOURCES = sorted(p for folder in ("emdist", "flows") for p in (ROOT / folder).rglob("*.py"))

#: Text that has the signs that mean something somewhere.
PIECES = st.lists(
    st.sampled_from([*"{}[]:,&*!<>|?%@'\"#-=./\\\0\n\t 019ae", "<<", "!!", "..", "://", "file://",
                     "s3://", "1e400", " TiB", "null", "\ud800", "9" * 50, "&a", "*a"])
    | st.text(max_size=3),
    max_size=25,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("name", OF_TEXT)
@given(text=PIECES)
@example(text="&a [*a]")
@example(text="9" * 5000)
@example(text="2001-99-99")
@example(text="~~")
@example(text="9" * 400 + " TiB")
@settings(max_examples=150, deadline=None)
def test_text_is_read_or_refused(name: str, text: str) -> None:
    met(*OF_TEXT[name], text)


@pytest.mark.parametrize("name", OF_BYTES)
@given(data=st.binary(max_size=200) | PIECES.map(lambda t: t.encode("utf-8", "surrogatepass")))
@settings(max_examples=150, deadline=None)
def test_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    met(*OF_BYTES[name], data)


BOMBS = {
    "aliases": "\n".join(
        ["a0: &a0 [x, x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]"
                                for i in range(1, 12))]),
    "merges": "\n".join(
        ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}], y{i}: 1}}"
                             for i in range(1, 12))]),
    "itself": "a: &a [*a]",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "long": "a: [" + "1, " * 200_000 + "]",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_that_explodes_is_refused_before_it_does(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(BOMBS[name])
    with pytest.raises(ConfigError, match=r"not YAML: (it is nested|once its aliases)"):
        read_config(tmp_path / "c.yaml")


def test_aliases_that_people_write_are_read() -> None:
    text = "a: &base {k: 1}\nb: {<<: *base, j: 2}\nc: [*base, *base]"
    assert read_yaml(text) == {"a": {"k": 1}, "b": {"k": 1, "j": 2}, "c": [{"k": 1}] * 2}


# ---- code


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """Every call, by the last name of what is called."""
    return [
        (getattr(node.func, "attr", getattr(node.func, "id", "")), node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


@pytest.mark.long
def test_nothing_at_rest_is_a_pickle_and_nothing_read_is_run() -> None:
    pickling, importing = set(), set()
    for path in SOURCES:
        tree, name = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & {
                n.partition(".")[0] for n in names
            }:
                pickling.add(name)
        for called, call in calls(tree):
            if called == "import_module":
                importing.add(name)
            if called == "load" and getattr(getattr(call.func, "value", None), "id", "") == "np":
                allowed = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
                assert allowed.get("allow_pickle") is False, name
            if isinstance(call.func, ast.Name):
                assert called not in ("eval", "exec", "compile", "__import__"), name
            assert called not in ("system", "popen", "unsafe_load", "full_load"), name
    # Dask's transport: from this process to its workers, never to a file. The last three are of
    # stores that a user opened, and of the references of their arrays.
    assert pickling == {
        "emdist/engines/dask/graph.py",
        "emdist/engines/dask/engine.py",
        "emdist/kernels/compiled.py",  # what numba has compiled, from the driver to workers
        "emdist/composition/reach.py",
        "emdist/store/places/store_objects.py",
        "emdist/store/sources/references.py",
    }
    assert importing == {
        "emdist/__init__.py",
        "emdist/prepare/__init__.py",  # a fixed list
        "emdist/inputs/plugins.py",  # the modules of one package, by what is in its folder
        "emdist/engines/clusters/by_class.py",  # the allow-list
        "emdist/engines/dask/nanny.py",  # a fixed list
        "emdist/engines/dask/packages.py",  # a fixed list
        "emdist/kernels/compiled.py",  # the kernels
        "emdist/runtime/submodules.py",  # the modules of one package, as attributes in the code
        "emdist/runtime/extras.py",  # packages that the code names
    }


@pytest.mark.parametrize("value", ["os", "emdist.cli", "..", "full.os", "__init__", "base", ""])
@pytest.mark.parametrize("place", ["model.name", "fit.init", "fit.schedule", "cluster.kind",
                                   "model.assignment", "model.weights"])  # fmt: skip
def test_names_in_a_configuration_import_nothing(place: str, value: str) -> None:
    before = set(sys.modules)
    section, _, key = place.partition(".")
    with pytest.raises(ConfigError, match=r"not known; choose|not known \(did"):
        make_config({"data": {"path": "x"}, section: {key: value}})
    assert "emdist.cli" not in set(sys.modules) - before


@pytest.mark.parametrize(
    ("cls", "kwargs"),
    [
        ("os.system", {"command": "touch {}"}),
        ("subprocess.Popen", {"args": ["touch", "{}"]}),
        ("dask.distributed.LocalCluster.os.system", {}),
        ("dask_jobqueue.core.os.systemCluster", {}),
        ("distributed.LocalCluster", {"n_workers": 0, "preload": "import os; os.system('true')"}),
        ("distributed.LocalCluster", {"worker_class": "os.system"}),
        ("distributed.LocalCluster", {"scheduler_kwargs": {"preload": ["import os"]}}),
        ("distributed.SSHCluster", {"hosts": ["localhost"], "remote_python": "touch"}),
        ("dask_jobqueue.SLURMCluster", {"job_script_prologue": ["touch x"]}),
    ],
)
def test_a_configuration_cannot_bring_code(
    cls: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TRUST, raising=False)
    with pytest.raises(ConfigError, match=TRUST):
        ByClass(cls, kwargs, allow_any=True)
    monkeypatch.setenv(TRUST, "1")
    ByClass(cls, kwargs, allow_any=True)  # the word of whoever starts the run
    if cls.startswith("os"):
        with pytest.raises(ConfigError, match="allow_any"):
            ByClass(cls, kwargs)


def test_links_below_a_folder_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    inside.mkdir()
    (outside / "file").write_text("precious")
    (inside / "run.json").symlink_to(outside / "file")
    (inside / "ckpt").symlink_to(outside)
    folder = open_folder(Location(str(inside)))
    for act in (
        lambda: folder.read("run.json"),
        lambda: folder.write("ckpt/x", b""),
        lambda: folder.create("ckpt/y", b""),
        lambda: folder.delete("ckpt/file"),
        lambda: folder.clean("ckpt"),
        lambda: folder.list("ckpt"),
    ):
        with pytest.raises(CheckpointError, match="symbolic link"):
            act()
    assert [p.name for p in outside.iterdir()] == ["file"]
    # A link to the folder itself is the user's own.
    (tmp_path / "short").symlink_to(inside)
    open_folder(Location(str(tmp_path / "short"))).write("a", b"1")
    assert (inside / "a").read_bytes() == b"1"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OF_BYTES, *OF_TEXT])
def test_coverage_guided(name: str) -> None:
    pytest.importorskip("atheris")
    command = [*module("tests.hostile.fuzz_coverage"), name]
    done = subprocess.run(
        [*command, "-max_total_time=20", "-rss_limit_mb=4096", "-timeout=10"],
        capture_output=True, text=True, timeout=200, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
