"""What decides the last bits is recorded, and a run or cluster in which it changes says so."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client, Nanny, Scheduler, SpecCluster

import emdist.jobs.records
from emdist.engines.dask.packages import check_workers, mixed
from emdist.estimators.inputs import make_engine
from emdist.fit.events import Event, Warned
from emdist.jobs.job import Job
from emdist.jobs.records import versions
from emdist.jobs.run import open_job
from emdist.runtime.arithmetic import arithmetic, computes, differing
from emdist.settings.config import make_config

SETTINGS = {"NUMBA_CPU_NAME": "nehalem", "OPENBLAS_CORETYPE": "Nehalem"}


def found_with(**settings: str) -> dict[str, str]:
    code = (
        "import json; from emdist.runtime.arithmetic import arithmetic; "
        "print(json.dumps(arithmetic()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.long
def test_settings_that_change_bits_are_part_of_it() -> None:
    plain = found_with()
    assert plain == arithmetic()
    assert differing(plain, plain) == []
    assert found_with(NUMBA_CPU_NAME="nehalem")["cpu"] == "nehalem"
    features = found_with(NUMBA_CPU_FEATURES="+sse2")
    assert differing(plain, features) == ["cpu_features +sse2 in place of the default"]
    switched = found_with(NPY_DISABLE_CPU_FEATURES="AVX2")
    assert "AVX2" in str(differing(plain, switched))
    if "openblas" in plain["blas"] and plain["machine"] == "x86_64":
        assert "Nehalem" in found_with(OPENBLAS_CORETYPE="Nehalem")["blas"]


def test_records_of_earlier_versions_are_compared_in_what_they_tell() -> None:
    before = {"cpu": "znver3", "numpy": "1.0", "python": "3.11"}
    now = {**before, "cpu": "skylake", "blas": "openblas", "cpu_features": "+avx"}
    assert differing(before, now) == ["cpu skylake in place of znver3"]


def test_a_run_that_goes_on_elsewhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.save(str(tmp_path / "x.zarr"), np.random.default_rng(0).normal(size=(300, 3)))
    values = {
        "data": {"path": str(tmp_path / "x.zarr")},
        "model": {"name": "kmeans", "n_components": 3},
        "fit": {"max_iter": 6, "tol": 0.0},
        "run": {"folder": str(tmp_path), "key": "r", "checkpoint_iterations": 2},
    }
    heard: list[Event] = []

    def warned() -> list[str]:
        found = [event.message for event in heard if isinstance(event, Warned)]
        heard.clear()
        return [one for one in found if "continues with" in one]

    config = make_config(values)
    with open_job(config, listen=heard.append) as job:
        assert isinstance(job, Job)
        job.survey()
        job.segment()
    assert warned() == []
    with open_job(config, listen=heard.append) as job:
        pass
    assert warned() == [], "on the same machine"
    other = {**versions(), "cpu": "znver3", "numpy": "1.0"}
    monkeypatch.setattr(emdist.jobs.records, "versions", lambda: other)
    with open_job(config, listen=heard.append) as job:
        assert isinstance(job, Job)
        (told,) = warned()
        job.complete()
    assert f"cpu znver3 in place of {arithmetic()['cpu']}" in told
    assert f"numpy 1.0 in place of {np.__version__}" in told
    with open_job(config, listen=heard.append) as done:
        assert isinstance(done, dict)
    assert warned() == [], "nothing is computed"


def test_machines_of_a_cluster_are_compared() -> None:
    one, other = {"cpu": "znver3", "blas": "a"}, {"cpu": "skylake", "blas": "a"}
    assert mixed(one, {}) is None
    assert mixed(one, {"tcp://a": one, "tcp://b": one}) is None
    apart = mixed(one, {"tcp://a": one, "tcp://b": other})
    assert apart is not None
    assert "tcp://b has cpu skylake in place of znver3 (tcp://a)" in apart
    alike = mixed(one, {"tcp://a": other, "tcp://b": other})
    assert alike is not None
    assert "the workers have cpu skylake in place of znver3" in alike


@pytest.mark.long
def test_a_cluster_of_two_kinds_is_told_when_it_is_joined(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain: dict[str, Any] = {"nthreads": 1, "host": "127.0.0.1", "dashboard_address": None}
    with (
        SpecCluster(
            scheduler={
                "cls": Scheduler,
                "options": {"host": "127.0.0.1", "dashboard_address": ":0"},
            },
            workers={
                "a": {"cls": Nanny, "options": plain},
                "b": {"cls": Nanny, "options": {**plain, "env": SETTINGS}},
            },
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=60)
        with caplog.at_level(logging.WARNING):
            check_workers(client)
        assert "do not give bit-identical results" in caplog.text
        assert "cpu" in caplog.text
        with pytest.warns(RuntimeWarning, match="do not give bit-identical results"):
            make_engine(client)


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/env/site-packages/numpy.libs/libscipy_openblas64_-32a4.so", True),
        ("/env/site-packages/scipy/.dylibs/libscipy_openblas.dylib", True),
        ("/env/lib/libopenblasp-r0.3.30.so", True),
        ("/env/site-packages/faiss_cpu.libs/libopenblaso-r0-d77a1985.3.15.so", False),
        ("/env/site-packages/faiss/.dylibs/libopenblas.0.dylib", False),
    ],
)
def test_a_blas_of_another_package_does_not_compute(path: str, ours: bool) -> None:
    assert computes(path) == ours


def test_a_package_with_a_blas_of_its_own_changes_no_record() -> None:
    pytest.importorskip("faiss")
    code = "from emdist.runtime.arithmetic import arithmetic; print(arithmetic()['blas'])"
    told = [
        subprocess.run(
            [sys.executable, "-c", f"{first}{code}"], capture_output=True, text=True, check=True
        ).stdout
        for first in ("", "import faiss; ")
    ]
    assert told[0] == told[1]
