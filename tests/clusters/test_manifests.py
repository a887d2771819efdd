"""The manifests of deploy/kubernetes: rendered, valid, and as strict as they claim to be."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from distributed import Client
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.templating import apply_values

from emdist import errors
from emdist.settings.config import make_config
from tests.support.certificates import certificates
from tests.support.killable_jobs import until
from tests.support.paths import ROOT
from tests.support.services import free_port, running

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
TEMPLATE = KUBERNETES / "components/pod-per-run/job-template.json"

Document = dict[str, Any]


def render(overlay: str) -> list[Document]:
    """What `kubectl apply -k` would apply."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            break
    else:
        pytest.skip("neither kubectl nor kustomize is installed")
    done = subprocess.run(
        [*command, str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pods(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Each document with a pod's template, and that template."""
    for one in documents:
        if (template := one.get("spec", {}).get("template")) is not None:
            yield one, template


def flow_run() -> Document:
    """The Job of a flow run, as Prefect's worker makes it from the template of the pool."""
    worker = pytest.importorskip("prefect_kubernetes.worker", reason="prefect-kubernetes")
    template = json.loads(TEMPLATE.read_text())
    known = template["variables"]["properties"]
    values = {name: one["default"] for name, one in known.items() if "default" in one}
    found = apply_values(template["job_configuration"], values, remove_notset=True)
    job = worker.KubernetesWorkerJobConfiguration(**found)
    job.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="first fit"))
    return dict(job.job_manifest)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid(overlay: str) -> None:
    checker = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate")
    documents = render(overlay)
    version = checker.latest_version()
    for one in documents:
        checker.validate(one, version, strict=True)
    for kind in ("Namespace", "NetworkPolicy", "PodDisruptionBudget", "Deployment"):
        assert any(one["kind"] == kind for one in documents)


def test_a_flow_run_is_a_valid_job() -> None:
    checker = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate")
    job = flow_run()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert {"name": "PREFECT_HOME", "value": "/tmp/prefect"} in container["env"]
    # Prefect wants these two here, where Kubernetes ignores them.
    assert [job["spec"]["template"]["spec"].pop(key) for key in ("completions", "parallelism")]
    checker.validate(job, checker.latest_version(), strict=True)
    check_pod(job, job["spec"]["template"])


def check_pod(owner: Document, template: Document) -> None:
    spec, name = template["spec"], owner["metadata"].get("name")
    selected = owner["spec"].get("selector", {}).get("matchLabels", {})
    assert selected.items() <= template["metadata"]["labels"].items()
    security = spec["securityContext"]
    assert security["runAsNonRoot"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    # Only the worker that starts pods may use the Kubernetes API.
    starts_pods = spec["serviceAccountName"] == "prefect-worker"
    assert spec["automountServiceAccountToken"] == starts_pods
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["tmp"] == "/tmp"
    assert set(mounts) == {volume["name"] for volume in spec["volumes"]}
    if owner["kind"] == "Deployment" and name not in {"copy", "prefect-worker"}:
        assert container["livenessProbe"]
        assert container["startupProbe"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_strict(overlay: str) -> None:
    found = list(pods(render(overlay)))
    assert len(found) >= 3
    for owner, template in found:
        check_pod(owner, template)
        assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "emdist"
        (container,) = template["spec"]["containers"]
        assert container["image"] == "registry.example/emdist:0.1.0"
        reads = template["metadata"]["labels"].get("emdist/reads") == "data"
        volume = any(m["mountPath"] == "/data" for m in container["volumeMounts"])
        assert volume == (reads and overlay in {"one-fit", "flows"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_named_where_they_are_used(overlay: str) -> None:
    """A comment says how to create each one, and each map that a pod needs is there."""
    documents = render(overlay)
    text = "".join(path.read_text() for path in KUBERNETES.rglob("kustomization.yaml"))
    told = set(re.findall(r"create secret generic ([\w-]+)", text))
    maps = {one["metadata"]["name"] for one in documents if one["kind"] == "ConfigMap"}
    for _, template in pods(documents):
        spec = template["spec"]
        for source in spec["containers"][0].get("envFrom", []):
            if "secretRef" in source:
                assert source["secretRef"]["name"] in told
            elif not source["configMapRef"].get("optional"):
                assert source["configMapRef"]["name"] in maps
        for volume in spec["volumes"]:
            assert volume.get("secret", {}).get("secretName") in told | {None}
            assert volume.get("configMap", {}).get("name") in maps | {None}


def test_an_object_store_has_its_options_where_fits_run() -> None:
    for owner, template in pods(render("one-fit-object-store")):
        (container,) = template["spec"]["containers"]
        names = {one["name"] for one in container.get("env", [])}
        mounts = {one["mountPath"] for one in container["volumeMounts"]}
        fits = owner["metadata"]["name"] == "fit"
        assert ("EMDIST_STORAGE_OPTIONS" in names, "/storage-options" in mounts) == (fits, fits)
        assert "/dask-tls" in mounts


def test_exit_codes_that_are_final() -> None:
    """Errors of settings, data, runs and results: the same pod would fail again."""
    codes = {one.exit_code for one in vars(errors).values() if hasattr(one, "exit_code")}
    for overlay in ("one-fit", "one-fit-object-store"):
        (job,) = [one for one in render(overlay) if one["kind"] == "Job"]
        exits = job["spec"]["podFailurePolicy"]["rules"][0]
        final = set(exits["onExitCodes"]["values"])
        assert exits["action"] == "FailJob"
        assert final == {2, 3, 4, 7, 8}
        # What may pass by itself: a defect, the storage, the cluster.
        assert codes - final == {0, 1, 5, 6}
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert exits["onExitCodes"]["containerName"] == container["name"]


@pytest.mark.parametrize("overlay", ["one-fit", "one-fit-object-store"])
def test_the_configuration_of_the_fit(overlay: str) -> None:
    (found,) = [one for one in render(overlay) if one["metadata"]["name"].startswith("fit-")]
    config = make_config(yaml.safe_load(found["data"]["config.yaml"]))
    assert config.run.key == "first-fit"
    encrypted = overlay == "one-fit-object-store"
    assert str(config.cluster.model_dump()["address"]).startswith("tls" if encrypted else "tcp")


@pytest.mark.long
def test_dask_starts_with_tls_as_the_manifests_say(tmp_path: Path) -> None:
    """Arguments and variables of the pods, on loopback and with certificates made here."""
    documents = render("one-fit-object-store")
    files = certificates(tmp_path / "own")
    (settings,) = [one["data"] for one in documents if one["metadata"]["name"] == "dask-tls"]
    places = {"/dask-tls/ca.crt": files["ca_file"], "/dask-tls/tls.crt": files["cert"],
              "/dask-tls/tls.key": files["key"]}  # fmt: skip
    environment = {**os.environ, **{key: places.get(v, v) for key, v in settings.items()}}
    port = str(free_port())
    changes = {"8786": port, "dask-scheduler:8786": f"127.0.0.1:{port}", "/tmp": str(tmp_path),
               ":8787": "127.0.0.1:0", ":8788": "127.0.0.1:0", "4GiB": "1GiB"}  # fmt: skip
    with contextlib.ExitStack() as stack:
        for owner, template in pods(documents):
            name = owner["metadata"]["name"]
            if not name.startswith("dask-"):
                continue
            words = [changes.get(word, word) for word in template["spec"]["containers"][0]["args"]]
            command = [sys.executable, "-m", f"distributed.cli.{'_'.join(words[:2])}", *words[2:]]
            command += ["--host", "127.0.0.1"]
            stack.enter_context(
                running(command, tmp_path / f"{name}.log", env=environment, cwd=tmp_path)
            )
        until(lambda: "Registered to" in (tmp_path / "dask-worker.log").read_text())
        assert f"tls://127.0.0.1:{port}" in (tmp_path / "dask-worker.log").read_text()
        with pytest.raises(OSError, match=r"timed out|encryption|expect|reset by peer"):
            Client(f"tcp://127.0.0.1:{port}", timeout=2)
