"""Settings that have another name now: the old one counts, and a note says what it is called."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emdist import GaussianMixture, Sweep
from emdist.composition.sweep_config import SweepConfig
from emdist.errors import ConfigError, RenamedWarning
from emdist.settings.config import make_section
from tests.support.command_line import Command

X = np.random.default_rng(0).normal(size=(60, 2))


def test_the_memory_of_a_sweep() -> None:
    sweep = {"n_components": [1, 2]}
    new = make_section(
        SweepConfig, {"data": {"path": "x"}, "sweep": sweep | {"sums_memory": "1 MiB"}}
    )
    with pytest.warns(RenamedWarning, match="^sweep.memory is now called sweep.sums_memory"):
        old = make_section(
            SweepConfig, {"data": {"path": "x"}, "sweep": sweep | {"memory": "1 MiB"}}
        )
    assert old == new
    assert old.sweep.budget == 1 << 20
    both = sweep | {"memory": "1 MiB", "sums_memory": "1 MiB"}
    with pytest.raises(ConfigError, match=r"Give only sweep\.sums_memory"):
        make_section(SweepConfig, {"data": {"path": "x"}, "sweep": both})


def test_the_memory_of_the_estimator() -> None:
    grid = {"n_components": [1, 2]}
    new = Sweep(GaussianMixture(random_state=0), grid, sums_memory="1 MiB").fit(X)
    with pytest.warns(RenamedWarning, match="^memory is now called sums_memory"):
        old = Sweep(GaussianMixture(random_state=0), grid, memory="1 MiB").fit(X)
    assert old.best_params_ == new.best_params_
    both = Sweep(GaussianMixture(), grid, sums_memory="2 MiB", memory="1 MiB")
    with pytest.raises(ConfigError, match="both are given"):
        both.fit(X)
    with pytest.raises(ConfigError, match="sums_memory: "):
        Sweep(GaussianMixture(), grid, sums_memory="lots").fit(X)


def test_the_column_of_weights(emdist: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,w\n1,2\n3,4\n")
    new = emdist("ingest", "a.csv", "new.zarr", "--weight-column", "w", "--json")
    old = emdist("ingest", "a.csv", "old.zarr", "--weights", "w", "--json")
    assert new.code == old.code == 0
    assert json.loads(old.out)["features"] == json.loads(new.out)["features"] == 1
    assert old.err == (
        "emdist: note: --weights is now called --weight-column; a later release will remove the "
        "old name.\n"
    )
    assert new.err == ""
    assert "--weights" not in emdist("ingest", "--help").out
    both = emdist("ingest", "a.csv", "b.zarr", "--weight-column", "w", "--weights", "w")
    assert (both.code, "both are given" in both.err) == (ConfigError.exit_code, True)


def test_a_command_says_it_in_one_line(emdist: Command, data: Path) -> None:
    answer = emdist("sweep", data, "-k", "1,2", "--set", "sweep.memory=1 MiB", "--quiet")
    assert answer.code == 0
    assert "emdist: note: sweep.memory is now called sweep.sums_memory" in answer.err
    assert ".py" not in answer.err
