"""What is in deploy/: files that parse, names that exist, a server that takes them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint

from tests.support.flow_processes import ROOT, Script, ran

DEPLOY = ROOT / "deploy"
PREFECT = yaml.safe_load((DEPLOY / "prefect.yaml").read_text())


@pytest.mark.parametrize("deployment", PREFECT["deployments"], ids=lambda d: d["entrypoint"])
def test_entrypoints_resolve_and_take_their_parameters(deployment: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    flow.validate_parameters(deployment["parameters"])
    # Limits belong to the work pool: a lease that is not renewed ends a long fit.
    assert "concurrency_limit" not in deployment


def prefect(api: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "PREFECT_API_URL": api}
    command = [sys.executable, "-m", "prefect", *arguments]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, **more
    )


@pytest.fixture(scope="session")
def deployed(api: str) -> str:
    for arguments in (
        ["work-pool", "create", "emdist", "--type", "process"],
        ["--no-prompt", "deploy", "--prefect-file", "deploy/prefect.yaml", "--all"],
    ):
        done = prefect(api, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    return api


@pytest.mark.slow  # test_schedule.py deploys too
def test_prefect_deploys_them(deployed: str) -> None:
    with get_client(sync_client=True) as client:
        names = {"cluster/emdist", "sweep/emdist", "label/emdist", "ingest/emdist"}
        found = {name: client.read_deployment_by_name(name) for name in names}
    assert {d.work_pool_name for d in found.values()} == {"emdist"}
    assert all(not d.pull_steps for d in found.values())


@pytest.mark.slow
def test_a_worker_runs_what_is_submitted(
    deployed: str, start: Callable[..., Script], config_file: Path, tmp_path: Path
) -> None:
    assert ran("cluster", str(config_file), "--key", "sent", "--deployment", "cluster/emdist") == 0
    worker = start(
        "prefect", "worker", "start", "--pool", "emdist", "--type", "process", "--run-once",
        PREFECT_API_URL=deployed, PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert worker.end() == 0
    assert (tmp_path / "runs" / "sent" / "final" / "model.json").exists(), worker.text


def test_the_image_has_what_it_names_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line.split() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    users = [line[1] for line in lines if line[0] == "USER"]
    assert users == ["emdist"]
    extras = re.search(r'"\.\[([a-z,]+)\]"', text)
    assert extras is not None
    known = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{name} = \[", known, re.M) for name in extras[1].split(","))
    copied = [word for line in lines if line[0] == "COPY" and "--from" not in line[1]
              for word in line[1:-1]]  # fmt: skip
    assert {"pyproject.toml", "constraints.txt", "emdist"} <= set(copied)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def test_workers_have_longer_to_end_than_they_give_to_flow_runs() -> None:
    def grace(command: list[str]) -> float:
        assert command[:3] == ["emdist", "flow", "worker"]
        return float(command[command.index("--grace") + 1])

    (compose,) = documents(DEPLOY / "compose.yaml")
    service = compose["services"]["worker"]
    assert float(service["stop_grace_period"].removesuffix("s")) > grace(service["command"]) + 10
    pod, _ = documents(DEPLOY / "kubernetes/components/worker/worker.yaml")
    spec = pod["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["terminationGracePeriodSeconds"] > grace(container["args"]) + 10


def test_compose_names_what_it_has_and_keeps_no_secret() -> None:
    (compose,) = documents(DEPLOY / "compose.yaml")
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{[A-Z]+:-(\w+)\}", r"\1", volume).partition(":")[0]
            assert source in compose["volumes"] or source in {".", "/tmp"}, name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["pids_limit"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) == (name != "postgres"), name
        # Nothing is published but to this machine.
        assert all(p.startswith("127.0.0.1:") for p in service.get("ports", [])), name
        for key, value in service.get("environment", {}).items():
            assert "AUTH" not in key or value.startswith("${"), name
    server = services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    assert server == services["worker"]["environment"]["PREFECT_API_AUTH_STRING"]
    assert services["dask-worker"]["deploy"]["replicas"] == 2


def test_the_image_is_built_from_little() -> None:
    """What .dockerignore lets through is what the Dockerfile copies."""
    text = (DEPLOY / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M)
              for word in line.split()}  # fmt: skip
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line.startswith("!")}  # fmt: skip
    assert copied == allowed
