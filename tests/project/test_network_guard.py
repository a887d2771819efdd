"""The guard of conftest.py: what leaves loopback fails the test that tries it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import network_guard
import pytest

from tests.support.paths import ROOT

#: Of TEST-NET-1 (RFC 5737), which belongs to nobody.
NOBODY = "192.0.2.1"


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notes of this test alone, so that it does not fail by what it shows."""
    path = tmp_path / "tried"
    path.touch()
    monkeypatch.setenv(network_guard.NOTES, str(path))
    return path


def test_this_process_is_refused(tried: Path) -> None:
    with pytest.raises(network_guard.ForeignAddressError):
        socket.create_connection((NOBODY, 80), timeout=1)
    with pytest.raises(network_guard.ForeignAddressError):
        socket.getaddrinfo("example.com", 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(network_guard.ForeignAddressError):
            sock.sendto(b"x", ("169.254.169.254", 80))
        sock.connect((NOBODY, 80))  # sends nothing
    assert len(tried.read_text().splitlines()) == 3


@pytest.mark.parametrize("given", [None, {}, {"PYTHONPATH": "/nowhere"}])
def test_processes_that_a_test_starts_are_refused(
    given: dict[str, str] | None, tried: Path
) -> None:
    code = f"import socket; socket.create_connection(({NOBODY!r}, 80), timeout=1)"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    env = None if given is None else {"PATH": os.environ["PATH"], **given}
    done = subprocess.run(
        [sys.executable, "-c", below], env=env, capture_output=True, text=True, check=False
    )
    assert "tests stay on loopback" in done.stderr
    assert f"socket.connect to {NOBODY}:80" in tried.read_text()


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    assert socket.getaddrinfo("localhost", 80)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 80)


@pytest.mark.long
def test_a_test_that_leaves_loopback_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the copy finds what it imports
    pytester.makeconftest(
        (ROOT / "tests" / "conftest.py")
        .read_text()
        .replace("Path(__file__).parent", f"Path({str(ROOT / 'tests')!r})")
    )
    pytester.makepyfile(
        "import socket\n"
        "def test_swallows():\n"
        f"    try: socket.create_connection(({NOBODY!r}, 80), timeout=1)\n"
        "    except OSError: pass\n"
        "def test_stays(): pass\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"*socket.connect to {NOBODY}:80*"])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of connections is Linux's")
def test_connections_that_python_did_not_make_are_seen(tried: Path) -> None:
    # Loopback counts as foreign here: there is no other address that may be reached.
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5),
    ):
        assert network_guard.foreign_connections() == []
        found = network_guard.foreign_connections(allowed=lambda host: False)
        assert any("127.0.0.1" in one for one in found)
    assert tried.read_text() == ""
