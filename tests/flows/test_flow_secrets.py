"""Planted credentials are in nothing that Prefect stores: the whole database is searched."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.support.flow_processes import Script, until

Start = Callable[..., Script]

SECRET = "Xq7/planted+9Zk"
#: As it might be spelt after passing through URLs and JSON.
SPELT = (SECRET, quote(SECRET, safe=""), SECRET.lower(), SECRET.replace("/", "\\/"))
#: Where Prefect keeps what it is told: the search must find what is no secret there.
TOLD = ("log", "artifact", "flow_run", "flow_run_state", "task_run_state", "events")


@pytest.fixture
def database(api: str) -> Iterator[sqlite3.Connection]:
    """Of the server for all tests, to be read."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    url = str(PREFECT_API_DATABASE_CONNECTION_URL.value())
    path = url.partition(":///")[2].partition("?")[0]
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


def tables(database: sqlite3.Connection) -> dict[str, str]:
    """All that each table holds, as text."""
    names = [n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    return {n: repr(database.execute(f'SELECT * FROM "{n}"').fetchall()) for n in names}


def planted(values: dict[str, Any], tmp_path: Path, key: str) -> tuple[Path, dict[str, str]]:
    """A configuration with secrets, and an environment with others."""
    options = {"secret_access_key": SECRET, "token": SECRET}
    values["run"] |= {"key": key, "storage_options": options}
    values["data"]["storage_options"] = options
    values["labels"] = {"storage_options": options}
    config = tmp_path / "planted.yaml"
    config.write_text(yaml.safe_dump(values))
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")
    return config, {**dict.fromkeys(names, SECRET), "PREFECT_LOGGING_LEVEL": "DEBUG"}


def silent(script: Script, found: dict[str, str]) -> None:
    for name, text in {**found, "the script's output": script.text}.items():
        for spelt in SPELT:
            at = text.find(spelt)
            assert at < 0, f"{name}: ...{text[max(0, at - 200) : at + 50]}..."


@pytest.mark.long
def test_a_flow_that_goes_well_tells_prefect_no_secret(
    api: str, start: Start, values: dict[str, Any], tmp_path: Path, database: sqlite3.Connection
) -> None:
    config, environment = planted(values, tmp_path, "well-planted")
    script = start("flows.cluster", config, PREFECT_API_URL=api, **environment)
    assert script.end() == 0, script.text

    def told() -> dict[str, str] | None:
        found = tables(database)
        there = {name for name in TOLD if "well-planted" in found[name]}
        return found if there >= {"log", "artifact", "flow_run"} else None

    silent(script, until(told, "Prefect to have stored what it was told"))


#: What is wrong, by section and key, and a word of the message.
FAILURES = {
    "a URL that names a user": ("data", "path", f"https://me:{SPELT[1]}@h/x.zarr", "password"),
    "a password with a slash": ("data", "path", f"https://me:{SECRET}@h/x.zarr", "password"),
    "a URL with a query": ("data", "path", f"https://h/x.zarr?sig={SECRET}", "query"),
    "a closed port": ("data", "path", "http://127.0.0.1:9/x.zarr", ""),
    "a cluster's keyword": (
        "cluster", None,
        {"kind": "by_class", "cluster_class": "dask.distributed.LocalCluster",
         "cluster_kwargs": {"security": {"auth_token": SECRET}}}, "is a secret"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILURES)
def test_a_flow_that_fails_tells_prefect_no_secret(
    name: str,
    api: str,
    start: Start,
    values: dict[str, Any],
    tmp_path: Path,
    database: sqlite3.Connection,
) -> None:
    section, key, value, word = FAILURES[name]
    if key is None:
        values[section] = value
    else:
        values.setdefault(section, {})[key] = value
    config, environment = planted(values, tmp_path, f"ill-planted-{os.getpid()}")
    script = start("flows.cluster", config, PREFECT_API_URL=api, **environment)
    assert script.end() not in (0, 1), script.text
    assert word in script.text
    silent(script, tables(database))
