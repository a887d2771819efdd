"""What a missing optional package is told of: for each way that emdist can be installed."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import PackageNotFoundError, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from emdist.errors import ConfigError
from emdist.runtime import extras
from emdist.runtime.extras import advice, installed, need, same
from tests.support.paths import ROOT

METADATA = """Metadata-Version: 2.1
Name: emdist
Version: 0.1.0
Requires-Dist: numpy>=2.0
Provides-Extra: flows
Requires-Dist: prefect<4,>=3.9.1; extra == "flows"
Requires-Dist: pillow>=10; extra == "flows"
"""
BY_NAME = "'prefect<4,>=3.9.1' 'pillow>=10'"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that emdist is installed by `installer` from `origin`, with its pip on the path."""
    bin_ = tmp_path / "env" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "pip").touch(0o755)
    monkeypatch.setattr(sys, "prefix", str(bin_.parent))
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    monkeypatch.setenv("PATH", str(bin_))

    def pretend(origin: Any = None, installer: str = "pip") -> Path:
        info = tmp_path / "emdist-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA)
        (info / "INSTALLER").write_text(f"{installer}\n")
        if origin is not None:
            text = origin if isinstance(origin, str) else json.dumps(origin)
            (info / "direct_url.json").write_text(text)
        monkeypatch.setattr(extras, "distribution", lambda name: PathDistribution(info))
        return bin_

    return pretend


def folder(tmp_path: Path, name: str = "clone") -> Path:
    path = tmp_path / name
    path.mkdir()
    (path / "pyproject.toml").touch()
    return path


def test_from_an_index(environment: Any) -> None:
    environment()
    assert advice("flows") == "Run: pip install 'emdist[flows]'"


def test_from_a_clone_that_is_edited_and_one_that_is_not(environment: Any, tmp_path: Path) -> None:
    clone = folder(tmp_path, "my clone")
    url = clone.as_uri()
    assert "%20" in url
    environment({"url": url, "dir_info": {"editable": True}})
    assert advice("flows") == f"Run: pip install -e '{clone}[flows]'"
    shutil.rmtree(tmp_path / "emdist-0.1.0.dist-info")
    environment({"url": url, "dir_info": {}})
    assert advice("flows") == f"Run: pip install '{clone}[flows]'"


def test_from_a_wheel_that_is_there_and_one_that_has_gone(environment: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "emdist-0.1.0-py3-none-any.whl"
    wheel.touch()
    environment({"url": wheel.as_uri(), "archive_info": {}})
    assert advice("flows") == f"Run: pip install '{wheel}[flows]'"
    wheel.unlink()
    assert advice("flows") == f"Run: pip install {BY_NAME}"


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        (
            {"url": "https://h/emdist.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            "'emdist[flows] @ git+https://h/emdist.git@0a1b'",
        ),
        (
            {"url": "file:///srv/emdist.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}},
            "'emdist[flows] @ git+file:///srv/emdist.git@0a1b'",
        ),
        (
            {"url": "https://h/emdist-0.1.0.tar.gz", "archive_info": {}},
            "'emdist[flows] @ https://h/emdist-0.1.0.tar.gz'",
        ),
        ("{ torn", BY_NAME),
        ("[]", BY_NAME),
        ({"url": 3, "dir_info": None}, "'emdist[flows] @ 3'"),
    ],
)
def test_from_elsewhere(environment: Any, origin: Any, wanted: str) -> None:
    environment(origin)
    assert advice("flows") == f"Run: pip install {wanted}"


def test_other_installers(environment: Any, tmp_path: Path, monkeypatch: Any) -> None:
    bin_ = environment(installer="conda")
    assert advice("flows") == "Run: conda install -c conda-forge prefect"
    info = tmp_path / "emdist-0.1.0.dist-info"
    (info / "INSTALLER").write_text("uv")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    python = bin_ / "python"
    assert advice("flows") == f"Run: uv pip install --python {python} 'emdist[flows]'"
    (info / "INSTALLER").write_text("pdm")
    assert advice("flows") == f"Install {BY_NAME} with pdm, which installed emdist."
    (bin_.parent / "uv-receipt.toml").touch()
    assert advice("flows") == "Run: uv tool install 'emdist[flows]'"
    (bin_.parent / "pipx_metadata.json").touch()
    assert advice("flows") == f"Run: pipx inject emdist {BY_NAME}"


def test_an_environment_that_is_not_active_is_named(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = environment()
    monkeypatch.setenv("PATH", "/nowhere")
    assert advice("flows") == f"Run: {bin_ / 'python'} -m pip install 'emdist[flows]'"


def test_an_interpreter_that_was_called_by_a_relative_path_is_named_in_full(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = environment()
    (bin_ / "python").symlink_to(sys.base_prefix)
    monkeypatch.chdir(bin_)
    monkeypatch.setattr(sys, "executable", "../bin/python")
    assert advice("flows") == "Run: pip install 'emdist[flows]'"
    monkeypatch.setenv("PATH", "/nowhere")
    assert advice("flows").startswith(f"Run: {bin_ / 'python'} -m pip install ")


def test_a_folder_that_was_never_installed(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment()

    def absent(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", absent)
    assert advice("ingest").startswith("Run: pip install pyarrow pillow")


@pytest.mark.parametrize("module", sorted(extras.OPTIONAL))
def test_each_extra_exists_and_has_its_package(module: str) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra, name = extras.OPTIONAL[module]
    assert any(line.startswith(name) for line in project["optional-dependencies"][extra])


def test_a_missing_package_and_one_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("PIL.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert not installed("PIL")
    with pytest.raises(
        ConfigError, match=r"^x needs the package pillow, which is not installed\. "
    ):
        need("PIL.Image", "x")
    monkeypatch.delitem(sys.modules, "PIL")
    (tmp_path / "PIL").mkdir()
    (tmp_path / "PIL" / "__init__.py").write_text("raise ImportError('libz.so.1 is gone')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot be imported \(libz\.so\.1 is gone\)") as caught:
        need("PIL.Image", "x")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("origin", "installer", "emdist", "numba"),
    [
        (None, "pip", "run there: pip install emdist==0.1.0", "run there: pip install numba==0.61"),
        (
            None, "uv",
            "run there: uv pip install emdist==0.1.0", "run there: uv pip install numba==0.61",
        ),
        (
            None, "conda",
            "run there: conda install -c conda-forge emdist=0.1.0",
            "run there: conda install -c conda-forge numba=0.61",
        ),
        (
            {"url": "https://h/emdist.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}, "pip",
            "run there: pip install 'emdist @ git+https://h/emdist.git@0a1b'",
            "run there: pip install numba==0.61",
        ),
        (
            {"url": "file:///srv/my%20clone", "dir_info": {"editable": True}}, "pip",
            "copy '/srv/my clone' there as it is here, and run there: "
            "pip install -e '/srv/my clone'",
            "run there: pip install numba==0.61",
        ),
        (
            {"url": "file:///srv/emdist-0.1.0.whl", "archive_info": {}}, "pip",
            "copy /srv/emdist-0.1.0.whl there as it is here, and run there: "
            "pip install /srv/emdist-0.1.0.whl",
            "run there: pip install numba==0.61",
        ),
    ],
)  # fmt: skip
def test_the_same_versions_on_workers(
    environment: Any, origin: Any, installer: str, emdist: str, numba: str
) -> None:
    environment(origin, installer)
    assert same("emdist", "0.1.0") == emdist
    assert same("numba", "0.61") == numba
    assert same("python", "3.12.4") == "use Python 3.12.4 there"


def test_the_same_code_as_a_folder_that_was_never_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", missing)
    assert same("emdist", "0") == f"put a copy of {ROOT} there, as emdist is imported from it here"
    assert same("numba", "0.61") == "run there: pip install numba==0.61"
