"""Credentials are in nothing that a run writes, prints or raises, however it ends.

A secret is planted wherever users put one: storage options, user and query of URLs, the
environment, keyword arguments of clusters. Then everything is searched for it.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import yaml
import zarr
from zarr.codecs import ZstdCodec

from tests.support.paths import ROOT

SECRET = "Xq7-planted-9Zk"
#: As it might be spelt after passing through URLs and JSON.
SPELT = (SECRET, quote(SECRET), SECRET.lower())


@dataclass(frozen=True)
class Ended:
    """A command's end: its exit code and all that it printed."""

    code: int
    printed: str


def run(folder: Path, *arguments: object) -> Ended:
    """``emdist ARGUMENTS``, with secrets in its environment."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ACCESS_KEY_ID": SECRET,
        "AWS_SESSION_TOKEN": SECRET,
        "RUST_LOG": "debug",
    }
    done = subprocess.run(
        [sys.executable, "-m", "emdist", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout + done.stderr)


def silent(folder: Path, ended: Ended, given: Path | None = None) -> None:
    """Fail if the secret is in what was printed or in a file other than the one `given`."""
    for spelt in SPELT:
        assert spelt not in ended.printed, ended.printed
    for path in folder.rglob("*"):
        if path.is_file() and path != given:
            raw = path.read_bytes()
            assert not any(spelt.encode() in raw for spelt in SPELT), path
        assert not any(spelt in path.name for spelt in SPELT), path


def store(path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(60, 2)) + 9 * (np.arange(60)[:, None] % 2)
    array = zarr.create_array(
        path, shape=x.shape, chunks=(10, 2), dtype="f8", compressors=ZstdCodec(checksum=True)
    )
    array[:] = x
    return path


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a path with ``broken`` in it is answered by an error that tells the URL."""

    def do_GET(self) -> None:
        if "broken" in self.path:
            body = f"no: {self.path} {self.headers}".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        self.do_GET() if "broken" in self.path else super().do_HEAD()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """``host:port`` of a server of `tmp_path`."""

    def handler(*arguments: Any) -> Handler:
        return Handler(*arguments, directory=str(tmp_path))

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def written(folder: Path, values: dict[str, Any]) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def configuration(folder: Path, data: str) -> dict[str, Any]:
    options = {"secret_access_key": SECRET, "token": SECRET}
    return {
        "data": {"path": data, "storage_options": options, "block_size": "320 B"},
        "model": {"name": "full", "n_components": 2},
        "fit": {"max_iter": 3},
        "run": {"folder": str(folder / "runs"), "key": "r", "storage_options": options},
        "labels": {"storage_options": options},
    }


@pytest.mark.long
def test_a_run_that_goes_well_tells_no_secret(tmp_path: Path) -> None:
    file = written(tmp_path, configuration(tmp_path, str(store(tmp_path / "x.zarr"))))
    for command in (
        ["fit", "-f", file, "--json"],
        ["fit", "-f", file],  # done already
        ["inspect", tmp_path / "runs/r", "--json"],
        ["inspect", tmp_path / "runs/r"],
        ["inspect", tmp_path / "runs/r/labels.zarr"],
    ):
        ended = run(tmp_path, *command)
        assert ended.code == 0, ended
        silent(tmp_path, ended, file)


@pytest.mark.long
def test_a_broken_block_on_a_cluster_tells_no_secret(tmp_path: Path) -> None:
    values = configuration(tmp_path, str(store(tmp_path / "x.zarr")))
    chunk = tmp_path / "x.zarr/c/3/0"
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    values["cluster"] = {"kind": "local", "n_workers": 1}
    file = written(tmp_path, values)
    ended = run(tmp_path, "fit", "-f", file)
    assert ended.code == 3, ended
    silent(tmp_path, ended, file)


#: What is wrong, by section and key; `{server}` is an HTTP server, `{secret}` the secret.
FAILURES: dict[str, tuple[dict[str, Any], int]] = {
    "user of a closed port": ({"data.path": "http://me:{secret}@127.0.0.1:9/x.zarr"}, 5),
    "user of a refusal": ({"data.path": "http://me:{secret}@{server}/broken.zarr"}, 5),
    "a password with a slash": ({"data.path": "https://me:a/{secret}@h/x.zarr"}, 2),
    "query of a refusal": ({"data.path": "http://{server}/broken.zarr?sig={secret}"}, 5),
    "query, nothing there": ({"data.path": "http://{server}/none.zarr?sig={secret}"}, 3),
    "fragment": ({"data.path": "http://{server}/broken.zarr#{secret}"}, 5),
    "weights": ({"data.weights": "http://me:{secret}@{server}/broken.zarr?sig={secret}"}, 5),
    "unknown scheme": ({"data.path": "ftp://me:{secret}@{server}/x.zarr"}, 2),
    "a wrong option": (
        {"data.path": "s3://b/x.zarr", "data.storage_options": {"nonsense": "{secret}"}}, 2),
    "an option of the wrong type": ({"data.storage_options": ["{secret}"]}, 2),
    "a section that is a URL": ({"data": "s3://me:{secret}@b/x.zarr"}, 2),
    "a path that is a list": ({"data.path": ["s3://me:{secret}@b/x.zarr"]}, 2),
    "a path that is a section": ({"data.path": {"url": "s3://me:{secret}@b"}}, 2),
    "a number that is a URL": ({"fit.seed": "https://h/?token={secret}"}, 2),
    "run on a closed port": ({"run.folder": "http://me:{secret}@127.0.0.1:9/runs?x={secret}"}, 5),
    "labels that cannot be": ({"labels.path": "http://me:{secret}@{server}/broken?x={secret}"}, 5),
    "ingest": ({"data.path": "none.zarr", "ingest.source": "https://me:{secret}@h/a.csv"}, 2),
    "scheduler": ({"cluster": {"kind": "address", "address": "tcp://me:{secret}@h:1"}}, 2),
    "keywords of a cluster": ({"cluster": {
        "kind": "by_class", "cluster_class": "coiled.Cluster",
        "cluster_kwargs": {"token": "{secret}", "n_workers": "{secret}"}}}, 2),
    "keywords of a class that refuses": ({"cluster": {
        "kind": "by_class", "cluster_class": "dask.distributed.LocalCluster",
        "cluster_kwargs": {"n_workers": "{secret}", "password": "{secret}"}}}, 2),
    "class of a cluster": ({"cluster": {
        "kind": "by_class", "cluster_class": "https://h/?t={secret}"}}, 2),
    "start": ({"fit.start": "https://me:{secret}@h/a.npz?sig={secret}"}, 3),
}  # fmt: skip


def filled(value: Any, server: str) -> Any:
    text = json.dumps(value).replace("{secret}", SECRET).replace("{server}", server)
    return json.loads(text)


@pytest.mark.parametrize("name", FAILURES)
def test_a_run_that_fails_tells_no_secret(
    name: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, so that the chain of causes is searched too."""
    from emdist.errors import EmdistError
    from emdist.jobs.job import Job
    from emdist.jobs.run import open_job
    from emdist.settings.file import read_config

    settings, code = FAILURES[name]
    values = configuration(tmp_path, str(store(tmp_path / "x.zarr")))
    for place, value in filled(settings, server).items():
        section, _, key = place.partition(".")
        if key:
            values.setdefault(section, {})[key] = value
            if "http" in str(value) and section in ("data", "run", "labels"):
                # A closed port is tried again for minutes; without this it is refused at once.
                allowed = {} if ":9/" in str(value) else {"allow_http": True}
                values[section]["storage_options"] = allowed
        else:
            values[section] = value
    file = written(tmp_path, values)

    def started() -> None:
        with open_job(read_config(file)) as job:
            assert isinstance(job, Job)
            job.complete()

    with pytest.raises(EmdistError) as told:
        started()
    assert told.value.exit_code == code, told.value
    out, err = capsys.readouterr()
    whole = "".join(traceback.format_exception(told.value))
    # The line of this test that is quoted in it names no secret.
    silent(tmp_path, Ended(code, f"{told.value!r} {whole} {out} {err}"), file)


@pytest.mark.long
def test_a_configuration_that_is_no_yaml_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"data:\n  storage_options: {{token: '{SECRET}\n  path: [x\n")
    ended = run(tmp_path, "fit", "-f", file)
    assert ended.code == 2, ended
    silent(tmp_path, ended, file)
