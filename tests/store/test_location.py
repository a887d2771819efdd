"""Laws of Location: one spelling per place, picklable, and no secret ever shown."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emdist.errors import ConfigError
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location, open_object_store, open_zarr_store

SECRETS = ("hunter2", "tok123", "AKIA")


@pytest.mark.parametrize(
    "url",
    [
        "s3://user:hunter2@bucket/a/b?token=tok123",
        "https://user:hunter2@host:8080/a/b?sig=tok123#tok123",
        "gs://bucket/a/b",
    ],
)
def test_secrets_are_never_shown(url: str) -> None:
    place = Location(url, {"access_key_id": "AKIA", "secret_access_key": "hunter2"})
    for shown in (str(place), repr(place), f"{place.child('c')}", repr([place.child("c/d")])):
        assert not any(secret in shown for secret in SECRETS), shown
    assert place.name == "b"
    assert "a/b/c" in str(place.child("c"))


def test_error_of_a_store_that_cannot_be_opened_hides_secrets() -> None:
    place = Location("s3://user:hunter2@bucket/a?token=tok123", {"bogus": "AKIA"})
    with pytest.raises(ConfigError, match="bogus") as caught:
        open_object_store(place)
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_local_paths_are_absolute_and_have_one_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spellings = ["a b", "./a b", "x/../a b", str(tmp_path / "a b"), f"file://{tmp_path}/a%20b"]
    places = {Location(url) for url in spellings}
    assert places == {Location(str(tmp_path / "a b"))}
    place = places.pop()
    assert place.is_local
    assert place.path == tmp_path / "a b"
    assert place.child("c").name == "c"
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(place)).path == tmp_path / "a b"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://host/x", "s3://"),
        ("s3:/bucket/x", "s3://"),
        ("file://host/x", "file:///"),
        ("s3:///x", "bucket"),
        ("", "path"),
    ],
)
def test_malformed_urls_say_what_to_write(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Location(url)


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/etc/passwd", "a//b", "./a", "a\0"])
@pytest.mark.parametrize("url", ["/tmp/x", "s3://bucket/x"])
def test_child_stays_below(url: str, name: str) -> None:
    with pytest.raises(ConfigError):
        Location(url).child(name)


def test_a_url_has_no_path_and_nested_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="local path"):
        _ = Location("s3://bucket/x").path
    nested: Any = {"retry": {"max": 3}}
    with pytest.raises(ConfigError, match="retry"):
        Location("s3://bucket", nested)


def test_options_are_plain_text_whatever_yaml_made_of_them() -> None:
    yaml: Any = {"allow_http": True, "timeout": "3s", "pool_max_idle_per_host": 4}
    place = Location("s3://bucket/x", yaml | {"region": "here", "skip_signature": True})
    assert place.options["allow_http"] == "true"
    assert place.options["pool_max_idle_per_host"] == "4"
    # Client options inside obstore's `config` panic: they must have been told apart.
    assert open_object_store(place) is open_object_store(pickle.loads(pickle.dumps(place)))


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_zarr_store_is_opened_once_and_holds_arrays(kind: str, tmp_path: Path) -> None:
    place = Location(str(tmp_path / "a.zarr") if kind == "local" else f"memory://{tmp_path.name}/a")
    store = open_zarr_store(place, read_only=False)
    assert store is open_zarr_store(pickle.loads(pickle.dumps(place)), read_only=False)
    values = np.arange(12.0).reshape(4, 3)
    zarr.create_array(store, data=values, chunks=(2, 3))
    again = open_zarr_store(place, read_only=True)
    assert again.read_only
    assert np.array_equal(zarr.open_array(again, mode="r")[:], values)


def test_missing_obstore_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"obstore, which is not installed\. Run: .*\[cloud\]"):
        open_object_store(Location("s3://never-opened-before/x"))
    with pytest.raises(ConfigError, match=r"obstore, which is not installed\. Run: .*\[cloud\]"):
        open_folder(Location("s3://never-opened-before/x")).exists("y")


@pytest.mark.parametrize("url", ["file://[", "s3://b[/x", "http://u:secret@[x", "s3://\u2100.x/"])
def test_a_host_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the host of a \w+:// URL cannot be read") as caught:
        Location(url)
    assert "secret" not in str(caught.value)
