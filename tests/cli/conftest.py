"""The command line in this process, and something to cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from emdist.cli.application import app
from tests.support.command_line import Answer, Command


@pytest.fixture
def emdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Answer:
        found = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="emdist")
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        # Said by the first command on a machine, whichever test that is.
        said = found.stderr.replace("compiling kernels for this processor, once\n", "")
        return Answer(found.exit_code, found.stdout, said)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """300 rows of three clusters in three chunks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 100, axis=0)
    array = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(100, 2), dtype="f8")
    array[:] = x
    return tmp_path / "x.zarr"
