"""One Prefect server for all tests of flows, in a folder of its own, heartbeats off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

# Prefect reads it when the test modules import flows, before any fixture runs.
_HOME = mkdtemp(prefix="emdist-prefect-")
os.environ["PREFECT_HOME"] = _HOME
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
for _name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_API_KEY"):
    os.environ.pop(_name, None)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import yaml  # noqa: E402
import zarr  # noqa: E402

from tests.support.flow_processes import Script, begin  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """URL of a server for all tests."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    off = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with off, prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6,000 rows of three features in four clusters that overlap, ten chunks."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, (4, 3))[rng.integers(0, 4, 6000)] + rng.normal(size=(6000, 3))
    path = tmp_path_factory.mktemp("data") / "x.zarr"
    array = zarr.create_array(path, shape=x.shape, chunks=(600, 3), dtype="float64")
    array[:] = x
    return path


@pytest.fixture
def values(data: Path, tmp_path: Path) -> dict[str, Any]:
    """A configuration of nine iterations in segments of three."""
    return {
        "data": {"path": str(data), "block_size": "14400 B"},
        "model": {"name": "full", "n_components": 4},
        "fit": {"tol": 0.0, "max_iter": 9},
        "run": {"folder": str(tmp_path / "runs"), "checkpoint_iterations": 3},
    }


@pytest.fixture
def config_file(values: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """``start("flows.cluster", ..., PREFECT_API_URL=...)``: scripts, killed at the end."""
    scripts: list[Script] = []

    def one_more(module: str, *arguments: object, **environment: str) -> Script:
        scripts.append(begin(tmp_path / f"script-{len(scripts)}", module, arguments, environment))
        return scripts[-1]

    yield one_more
    for script in scripts:
        if script.process.poll() is None:
            script.process.kill()
            script.process.wait()
