"""Credentials are used where the user put them, and no other identity is taken unasked."""

from __future__ import annotations

import base64
import http.server
import os
import threading
from collections.abc import Iterator

import pytest

from emdist.errors import ConfigError
from emdist.store.places.location import Location, open_object_store

BUCKETS = (
    "s3://bucket/x",
    "s3a://bucket/x",
    "gs://bucket/x",
    "https://bucket.s3.eu-west-1.amazonaws.com/x",
    "https://account.blob.core.windows.net/container/x",
    "abfss://container@account.dfs.core.windows.net/x",
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "SERVICE_ACCOUNT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("url", BUCKETS)
def test_the_identity_of_the_machine_is_taken_only_where_it_is_asked_for(url: str) -> None:
    with pytest.raises(ConfigError, match="instance_identity: true"):
        open_object_store(Location(url))
    assert open_object_store(Location(url, {"instance_identity": True}))
    assert open_object_store(Location(url, {"skip_signature": True}))


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("s3://one/x", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
        ("s3://two/x", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/c"}),
        ("az://three/x", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "YQ=="}),
    ],
)
def test_credentials_in_the_environment_are_enough(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_object_store(Location(url))


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/x",
        "s3://key@bucket/x",
        "gs://key:hunter2@bucket/x",
        "az://container/x?sig=hunter2",
        "s3://bucket/x#hunter2",
        "abfss://container:hunter2@account.dfs.core.windows.net/x",
        "https://account.blob.core.windows.net/container/x?sig=hunter2",
    ],
)
def test_credentials_in_the_url_of_a_bucket_are_refused(url: str) -> None:
    options = {"instance_identity": True, "account_name": "account"}
    if not url.startswith(("az", "abfs", "https")):
        del options["account_name"]
    with pytest.raises(ConfigError, match="storage_options") as told:
        open_object_store(Location(url, options))
    assert "hunter2" not in str(told.value)


@pytest.fixture
def seen() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """``host:port`` of a server, and what it was asked: path and who asked."""
    asked: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(404)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_user_of_a_web_address_is_told_to_the_server(
    seen: tuple[str, list[tuple[str, str | None]]],
) -> None:
    import obstore

    host, asked = seen
    store = open_object_store(Location(f"http://me:a%2Fb@{host}/x?v=1", {"allow_http": True}))
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "y")
    assert asked == [("/x/y?v=1", "Basic " + base64.b64encode(b"me:a/b").decode())]
