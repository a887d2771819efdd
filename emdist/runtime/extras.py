"""Packages: imports optional ones, or says how to install what is missing here or on workers."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from emdist.errors import ConfigError

#: By the name of the imported package: the extra of emdist that installs it, and its name for
#: installers.
OPTIONAL = {
    "prefect": ("flows", "prefect"),
    "obstore": ("cloud", "obstore"),
    "pyarrow": ("ingest", "pyarrow"),
    "PIL": ("ingest", "pillow"),
    "matplotlib": ("plot", "matplotlib"),
    "xarray": ("xarray", "xarray"),
    "onnx": ("onnx", "onnx"),
    "faiss": ("faiss", "faiss-cpu"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "pandas": ("xarray", "pandas"),
}


def need(module: str, user: str) -> ModuleType:
    """Return an optional module, imported when it is first used.

    Parameters
    ----------
    module
        A module of one of the packages in `OPTIONAL`.
    user
        What needs the module: the subject of the message.

    Raises
    ------
    ConfigError
        If its package is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        root = module.partition(".")[0]
        extra, name = OPTIONAL[root]
        if find_spec(root) is None:
            raise ConfigError(
                f"{user} needs the package {name}, which is not installed. {advice(extra)}"
            ) from error
        raise ConfigError(
            f"{user} needs the package {name}, which is installed but cannot be imported "
            f"({error!s:.200}). Install it again. {advice(extra)}"
        ) from error


def installed(package: str) -> bool:
    """Return whether a package of `OPTIONAL` can be found, without importing it."""
    return find_spec(package) is not None


def advice(extra: str) -> str:
    """Return, as a sentence, the command that adds an extra, for the way emdist was installed.

    The name `emdist` refers to a package index. That is of no use if emdist was installed from a
    folder, a file or a repository. So the command names the origin that the installer has recorded
    (PEP 610).
    """
    names = " ".join(name for group, name in OPTIONAL.values() if group == extra)
    try:
        found = distribution("emdist")
    except PackageNotFoundError:  # It was imported from a folder that was never installed.
        return f"Run: {_pip('pip')} {names}"
    installer = (found.read_text("INSTALLER") or "pip").strip()
    packages = _requirements(found, extra)
    if installer == "conda":
        return f"Run: conda install -c conda-forge {names}"
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return f"Run: pipx inject emdist {packages}"
    wanted = _with_extra(_origin(found), extra) or packages
    if (Path(sys.prefix) / "uv-receipt.toml").exists():
        return f"Run: uv tool install {wanted}"
    if installer in ("pip", "uv") or find_spec("pip") is not None:
        return f"Run: {_pip(installer)} {wanted}"
    return f"Install {packages} with {installer}, which installed emdist."


def same(package: str, version: str) -> str:
    """Return an instruction: how to get `package` in this `version` on another machine.

    For emdist itself, it follows from where emdist was installed from, as in `advice`.
    """
    if package == "python":
        return f"use Python {version} there"
    try:
        found = distribution("emdist")
    except PackageNotFoundError:  # It was imported from a folder that was never installed.
        if package == "emdist":
            folder = Path(__file__).parents[2]
            return f"put a copy of {folder} there, as emdist is imported from it here"
        return f"run there: pip install {package}=={version}"
    installer = (found.read_text("INSTALLER") or "pip").strip()
    if installer == "conda":
        return f"run there: conda install -c conda-forge {package}={version}"
    pip = "uv pip install" if installer == "uv" else "pip install"
    origin = _origin(found) if package == "emdist" else {}
    if not origin:
        return f"run there: {pip} {shlex.quote(f'{package}=={version}')}"
    url = str(origin.get("url", ""))
    if urlsplit(url).scheme == "file" and "vcs_info" not in origin:
        path = shlex.quote(url2pathname(urlsplit(url).path))
        editable = "-e " * bool(dict(origin.get("dir_info") or {}).get("editable", False))
        return f"copy {path} there as it is here, and run there: {pip} {editable}{path}"
    vcs = origin.get("vcs_info")
    if isinstance(vcs, Mapping):
        url = f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', 'HEAD')}"
    return f"run there: {pip} {shlex.quote(f'emdist @ {url}' if url else f'emdist=={version}')}"


def _pip(installer: str) -> str:
    """Return the command that installs into the environment of this process, active or not."""
    # Links are not resolved, because the interpreter of an environment is a link to one outside of
    # it.
    python = os.path.abspath(sys.executable)  # noqa: PTH100
    if installer == "uv" and find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(python)}"
    pip = shutil.which("pip")
    if pip is not None and Path(pip) == Path(python).parent / "pip":
        return "pip install"
    return f"{shlex.quote(python)} -m pip install"


def _origin(found: Distribution) -> Mapping[str, Any]:
    """Return where emdist was installed from, as PEP 610 records it; empty for an index."""
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return {"url": ""}
    return origin if isinstance(origin, dict) else {"url": ""}


def _with_extra(origin: Mapping[str, Any], extra: str) -> str | None:
    """Return what to install, quoted for a shell, or None if the origin no longer exists."""
    if not origin:
        return shlex.quote(f"emdist[{extra}]")
    url = str(origin.get("url", ""))
    if urlsplit(url).scheme == "file" and "vcs_info" not in origin:
        path = Path(url2pathname(urlsplit(url).path))
        if not (path.is_file() or (path / "pyproject.toml").is_file()):
            return None
        editable = dict(origin.get("dir_info") or {}).get("editable", False)
        return ("-e " if editable else "") + shlex.quote(f"{path}[{extra}]")
    vcs = origin.get("vcs_info")
    if isinstance(vcs, Mapping):
        url = f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', 'HEAD')}"
    return shlex.quote(f"emdist[{extra}] @ {url}") if url else None


def _requirements(found: Distribution, extra: str) -> str:
    """Return the requirements of the extra, quoted for a shell.

    They need no origin, but do not follow later changes of the extra.
    """
    from packaging.requirements import Requirement

    lines = [Requirement(line) for line in found.requires or ()]
    wanted = [
        f"{line.name}{line.specifier}"
        for line in lines
        if line.marker is not None
        and line.marker.evaluate({"extra": extra})
        and not line.marker.evaluate({"extra": ""})
    ]
    return " ".join(shlex.quote(text) for text in wanted)
