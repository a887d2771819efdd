"""Azure and Google Cloud Storage on loopback: Azurite, and moto behind Google's XML interface."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support import faulty_s3
from tests.support.paths import ROOT

CONTAINER = "container"
#: The account and the key that Microsoft publishes for Azurite.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_QUICK = {"allow_http": "true", "timeout": "5s", "init_backoff": "0.005", "max_backoff": "0.05"}


@dataclass(frozen=True)
class CloudStore:
    """A bucket or container of a server on this machine."""

    scheme: str
    bucket: str
    settings: Mapping[str, str]
    #: The storage options that are secret.
    secrets: tuple[str, ...]
    #: Injects faults; Azurite has none.
    proxy: faulty_s3.S3 | None = None

    def url(self, name: str) -> str:
        return f"{self.scheme}://{self.bucket}/{name}"

    def options(self, **more: str) -> dict[str, str]:
        return {**self.settings, **_QUICK, **more}


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[CloudStore]:
    """A new container of Azurite; skips the test where Azurite is not installed."""
    command = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
    own = ROOT / "build/services/node_modules/.bin/azurite-blob"
    if command is None and own.exists():
        command = str(own)
    if command is None:
        pytest.skip("Azurite is not installed: `make services` installs it (npm)")
    # Port 0: Azurite says which one it got.
    server = subprocess.Popen(
        [command, "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence",
         "--disableTelemetry", "--silent", "--skipApiVersionCheck"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if found := re.search(r"listens on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            pytest.fail(f"Azurite did not start: {''.join(said)}")
        endpoint = f"{found[1]}/{ACCOUNT}"
        _create_container(endpoint)
        settings = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": endpoint}
        yield CloudStore("az", CONTAINER, settings, ("account_key",))
    finally:
        server.terminate()
        server.wait(30)
        if server.stdout is not None:
            server.stdout.close()


def _create_container(endpoint: str) -> None:
    """Send a request signed by `KEY`: obstore makes no containers."""
    date = email.utils.formatdate(usegmt=True)
    headers = f"x-ms-date:{date}\nx-ms-version:2023-11-03\n"
    resource = f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
    text = "PUT" + "\n" * 12 + headers + resource
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"{endpoint}/{CONTAINER}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2023-11-03",
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


@contextlib.contextmanager
def google() -> Iterator[CloudStore]:
    """A new bucket behind Google's XML interface; skips the test where moto is not installed.

    obstore uses Google's XML interface, which is that of S3 with other conditions. The emulators on
    PyPI (gcp-storage-emulator, fake-gcs-server) have the JSON interface, and no writes, listings or
    ETags of the XML one.
    """
    with faulty_s3.serving(_Google) as s3:
        key = {
            "gcs_base_url": s3.options()["endpoint"],
            "disable_oauth": True,
            "client_email": "emdist@example.invalid",
            "private_key": "a-private-key-that-nobody-may-see",
            "private_key_id": "1",
        }
        settings = {"service_account_key": json.dumps(key)}
        yield CloudStore("gs", faulty_s3.BUCKET, settings, ("service_account_key",), s3)


class _Google(faulty_s3.Handler):
    """Translates requests to Google Cloud Storage into requests to S3."""

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, mark, query = self.path.partition("?")
        # Google's client escapes "/" and "." in names.
        self.path = urllib.request.quote(unquote(path)) + mark + query
        # moto wants to know whose request it is; it checks no signature.
        credential = "AKIAEXAMPLEKEYID/20260101/us-east-1/s3/aws4_request"
        signed = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
        del self.headers["Authorization"]
        self.headers["Authorization"] = signed
        match = self.headers.get("x-goog-if-generation-match")
        del self.headers["x-goog-if-generation-match"]
        if match is not None:
            assert match == "0", "emdist only asks that there is no object yet"
            self.headers["If-None-Match"] = "*"
        status, headers, data = super()._forward(body)
        headers.setdefault("x-goog-generation", "1")
        return status, headers, data


def described(found: Any) -> str:
    """All that an error says, with its causes."""
    texts = []
    while found is not None:
        texts.append(f"{found} {found.__notes__ if hasattr(found, '__notes__') else ''}")
        found = found.__cause__ or found.__context__
    return "\n".join(texts)
