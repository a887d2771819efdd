"""Kernels are compiled by one process, and others with the same kind of processor use them."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import emdist
import emdist.kernels.jit as jit
from emdist.jobs.warming import known_models, model_of, warm, warm_model
from emdist.kernels.compiled import compiled, install
from tests.support.paths import environment

ROWS = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)


def misses() -> int:
    """How many kernels this process has compiled."""
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in jit.KERNELS)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Client]:
    """Workers that have no compiled kernels, as on another machine."""
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, env=env) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.long
def test_workers_compile_nothing(remote: Client) -> None:
    found = emdist.GaussianMixture(3, random_state=0, engine=remote, max_iter=5).fit(ROWS)
    labels = found.predict(ROWS)
    assert remote.run(misses) == dict.fromkeys(remote.run(misses), 0)
    folders = remote.run(lambda: str(jit.KERNELS[0]._cache._cache_file._cache_path))
    assert all("numba" in folder for folder in folders.values()), "workers have caches of their own"
    np.testing.assert_array_equal(
        labels, emdist.GaussianMixture(3, random_state=0, max_iter=5).fit_predict(ROWS)
    )


FRESH = """
import sys
import numpy as np
from pathlib import Path
from emdist.kernels.compiled import install
print(install(Path(sys.argv[1]).read_bytes()), install(Path(sys.argv[1]).read_bytes()))
import emdist
import emdist.kernels.jit as jit
rows = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
emdist.KMeans(3, random_state=0).fit(rows)
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in jit.KERNELS))
"""


@pytest.mark.long
def test_code_of_one_process_is_used_by_another(tmp_path: Path) -> None:
    warm(model_of("kmeans"), np.dtype(np.float32))
    emdist.KMeans(3, random_state=0).fit(ROWS)
    (tmp_path / "code").write_bytes(compiled())
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "code")],
        env=environment(NUMBA_CACHE_DIR=str(tmp_path / "numba")),
        capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    new, again, compiled_there = map(int, done.stdout.split())
    assert new > 5
    assert (again, compiled_there) == (0, 0)
    assert "compiling" not in done.stderr


def test_code_of_other_kernels_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    code = compiled()
    monkeypatch.setattr("emdist.kernels.compiled.STAMP", "of another version")
    assert install(code) == 0


def test_all_models_can_be_compiled_ahead() -> None:
    known = known_models()
    assert {"kmeans", "kmedians", "full", "tied", "poisson", "categorical", "binomial"} <= set(
        known
    )
    assert all(warm_model(name, np.dtype(np.float32)) for name in known)
    assert warm(model_of("kmeans"), np.dtype(np.uint8))


def notices(caplog: pytest.LogCaptureFixture, *compilations: float) -> list[str]:
    """What is said while kernels are compiled that take these seconds, one after another."""
    caplog.clear()
    notice = jit.Notice()
    clock = iter(np.repeat(np.cumsum([0.0, *compilations]), 2)[1:])
    timers: list[Any] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, say: Any) -> None:
            self.seconds, self.say = seconds, say
            timers.append(self)

        def start(self) -> None: ...

        def cancel(self) -> None: ...

    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(jit.threading, "Timer", Timer)
        patch.setattr(jit.time, "monotonic", lambda: next(clock))
        for seconds in compilations:
            count = len(timers)
            notice.on_start(None)
            notice.on_start(None)  # A kernel that this one calls.
            notice.on_end(None)
            if len(timers) > count and timers[-1].seconds <= seconds:
                timers[-1].say()
            notice.on_end(None)
    return [record.getMessage() for record in caplog.records]


def test_it_is_said_once_that_kernels_are_compiled(caplog: pytest.LogCaptureFixture) -> None:
    line = ["compiling kernels for this processor, once"]
    assert notices(caplog, 0.4, 0.4) == []
    assert notices(caplog, 1.5) == line
    assert notices(caplog, 0.4, 0.4, 0.4) == line
    assert notices(caplog, 2.0, 3.0, 3.0) == line


def test_hard_assignment_is_compiled_ahead_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[str, str]] = []

    def noted(section: Any, dtype: Any) -> bool:
        found.append((section.name, section.assignment))
        return True

    monkeypatch.setattr("emdist.jobs.warming.warm", noted)
    assert warm_model("poisson", np.dtype(np.float32))
    assert warm_model("kmedians", np.dtype(np.float32))
    assert found == [("poisson", "soft"), ("poisson", "hard"), ("kmedians", "soft")]
