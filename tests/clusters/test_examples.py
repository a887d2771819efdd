"""The examples of clusters: accepted as they are, and the job scripts that they become."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import yaml

from emdist.engines.clusters.by_class import ByClass
from emdist.engines.clusters.permitted import KNOWN
from emdist.errors import ConfigError
from emdist.settings.config import make_config
from tests.support.paths import ROOT

EXAMPLES = sorted((ROOT / "config").glob("*-cluster.yaml"))

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}

#: What each system calls what the example for SLURM asks for, and the first word of its lines.
SCRIPTS = {
    "SLURM": ["#SBATCH -p main", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G", "-t 04:00:00"],
    "PBS": ["#PBS -q main", "#PBS -l select=1:ncpus=4:mem=15GB", "#PBS -l walltime=04:00:00"],
    "LSF": ["#BSUB -q main", "#BSUB -n 4", "#BSUB -W 04:00", "#BSUB -M 16000"],
    "HTCondor": ["RequestCpus = MY.DaskWorkerCores", "MY.DaskWorkerCores = 4", "Queue"],
}


def read(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "config" / f"{name}-cluster.yaml").read_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_needs_no_trust(path: Any) -> None:
    """It names no code, so it is accepted without EMDIST_TRUST_CONFIG."""
    config = make_config(yaml.safe_load(path.read_text()))
    if config.cluster.kind == "by_class":
        section = config.cluster.model_dump()
        ByClass(section["cluster_class"], section["cluster_kwargs"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_was_not_run_says_so(path: Any) -> None:
    run = {"slurm", "ssh", "gateway", "local", "remote"}
    name = path.stem.removesuffix("-cluster")
    assert ("has not been run" in path.read_text()) == (name not in run)


@pytest.mark.parametrize("system", SCRIPTS)
def test_the_script_of_a_job(system: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue", reason="pip install dask-jobqueue (make services)")
    monkeypatch.chdir(tmp_path)
    given = read("slurm")["cluster"]
    settings = dict(given["cluster_kwargs"]) | {"scheduler_options": LOOPBACK}
    if system == "HTCondor":  # It has no queues, and the disk must be named.
        del settings["queue"], settings["walltime"]
        settings["disk"] = "20GB"
    elif system == "LSF":
        settings |= {"walltime": "04:00", "lsf_units": "MB"}
    path = f"dask_jobqueue.{system}Cluster"
    ByClass(path, settings)  # It is permitted.
    module, _, name = path.rpartition(".")
    with getattr(importlib.import_module(module), name)(**settings) as cluster:
        script = cluster.job_script()
    for wanted in SCRIPTS[system]:
        assert wanted in script
    assert "distributed.cli.dask_worker tcp://" in script
    assert "--nthreads 4 --memory-limit 14.90GiB" in script


def test_lines_of_a_shell_need_trust_and_dasks_own_files_do_not(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/dask-clusters.md tells: what a shell runs goes into ~/.config/dask/jobqueue.yaml."""
    pytest.importorskip("dask_jobqueue", reason="pip install dask-jobqueue (make services)")
    import dask

    monkeypatch.chdir(tmp_path)
    settings = read("slurm")["cluster"]["cluster_kwargs"]
    with pytest.raises(ConfigError, match="'job_script_prologue', which can run code"):
        ByClass("dask_jobqueue.SLURMCluster", {**settings, "job_script_prologue": ["module load"]})
    (tmp_path / "jobqueue.yaml").write_text(
        "jobqueue: {slurm: {job-script-prologue: [module load python]}}"
    )
    (found,) = dask.config.collect_yaml([str(tmp_path)])
    from dask_jobqueue import SLURMCluster

    with (
        dask.config.set(dask.config.merge({"jobqueue": dask.config.get("jobqueue")}, found)),
        SLURMCluster(**settings, scheduler_options=LOOPBACK) as cluster,
    ):
        assert "\nmodule load python\n" in cluster.job_script()


@pytest.mark.parametrize(
    ("path", "settings", "named"),
    [
        ("dask_jobqueue.SLURMCluster", {"queue": "main\ntouch /tmp/x"}, "queue"),
        ("dask_jobqueue.PBSCluster", {"local_directory": "/tmp; touch /tmp/x"}, "local_directory"),
        ("dask_jobqueue.LSFCluster", {"memory": "$(touch /tmp/x)"}, "memory"),
        ("dask.distributed.SSHCluster", {"worker_options": {"name": "a'; b '"}}, "name"),
        ("dask.distributed.SSHCluster", {"worker_options": {"a'; b '": 1}}, "a.*b"),
    ],
)
def test_settings_that_a_shell_would_run(path: str, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"contain .{named}.*, which can run code"):
        ByClass(path, settings)


def test_every_known_class_has_an_example() -> None:
    classes = [read(path.stem.removesuffix("-cluster"))["cluster"].get("cluster_class")
               for path in EXAMPLES]  # fmt: skip
    for pattern in KNOWN:
        if "LocalCluster" in pattern:  # `kind: local` is the way to it.
            continue
        assert any(re.fullmatch(pattern, one) for one in classes if one), pattern
