"""Hostile files: what emdist is given to read, spoilt with structure in mind, in a child's cage.

``python -m tests.hostile.spoilt_files TARGET SEED FIRST COUNT FOLDER`` runs cases FIRST.. of a
target in this process and prints one JSON line before and one after each. The process may not take
more than `MEMORY` bytes beyond what its imports take, and an audit hook watches what it opens,
starts and unpickles: see `cage`. A parent (`batch`) notices crashes and hangs.

A case is good if it ends in an `EmdistError` or in an answer, and nothing was opened that has the
name `CANARY`, nothing written outside the case's own folder, nothing started or unpickled.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT, environment

#: Part of every name that no case may open.
CANARY = "CANARY"
#: Bytes that a child may take beyond its imports, and seconds for one case.
MEMORY, PATIENCE = 1 << 30, 30

#: What a field may be replaced by.
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 7, 2**31, 2**62, 2**63, 2**64, -(2**63), 10**30, 10**400,
    0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "..", "../../CANARY", "/CANARY", "a/../../CANARY", "file:///CANARY", "memory://CANARY/x",
    "x" * 5000, "\0", "\ud800", "é\u202e", "NaN", "float64", "object", "1 PiB", "9" * 400 + " TiB",
    "os.system", "subprocess.Popen", "numpy.load", "emdist.cli", "pickle", "__class__",
    [], {}, [[]], [None], [0], [-1, 2], [2**62, 2], [1, 1, 1, 1], {"": 0}, {"kind": "array"},
    {"__reduce__": ["os.system", "touch CANARY"]},
]  # fmt: skip


def deep(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a tree of JSON but the root's."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list) and inner:
            yield from places(inner, (*path, key))


def spoilt(tree: Any, rng: random.Random, most: int = 3) -> Any:
    """`tree` with one to `most` fields replaced, removed, renamed, moved or multiplied."""
    sys.setrecursionlimit(30_000)
    try:
        return _spoilt(copy.deepcopy(tree), rng, most)
    finally:
        sys.setrecursionlimit(1000)


def _spoilt(tree: Any, rng: random.Random, most: int) -> Any:
    for _ in range(rng.randint(1, most)):
        if not isinstance(tree, dict | list) or not tree:
            break
        every = list(places(tree))
        path = rng.choice(every)
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        _spoil(tree, parent, path[-1], every, rng)
    return tree


def _spoil(tree: Any, parent: Any, key: Any, every: list[tuple[Any, ...]], rng: Any) -> None:
    kind = rng.choice(["value"] * 5 + ["remove", "rename", "copy", "deep", "many", "number"])
    old = parent[key]
    if kind == "remove":
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        parent[rng.choice(["..", "x", "", "/CANARY", str(key) + "_"])] = parent.pop(key)
    elif kind == "copy":
        other = tree
        for step in rng.choice(every):
            other = other[step]
        parent[key] = copy.deepcopy(other)
    elif kind == "deep":
        parent[key] = deep(rng.choice([5, 200, 5000]))
    elif kind == "many":
        parent[key] = [old] * rng.choice([2, 1000])
    elif kind == "number" and isinstance(old, int | float) and not isinstance(old, bool):
        parent[key] = rng.choice([old + 1, old - 1, -old, old * 2, old * 10**9, old / 2])
    else:
        parent[key] = copy.deepcopy(rng.choice(VALUES))


def garbled(data: bytes, rng: random.Random) -> bytes:
    """`data` with bits flipped, cut off, doubled or with other bytes put in."""
    raw = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            raw[at:] = b""
        elif kind == 1:
            raw[at:at] = rng.randbytes(rng.randint(1, 40))
        elif kind == 2:
            raw[at : at + rng.randint(1, 40)] = b""
        elif kind == 3:
            raw[at:at] = raw[at : at + 1000]
        elif raw:
            raw[at % len(raw)] ^= 1 << rng.randrange(8)
    return bytes(raw)


def text_of(tree: Any) -> str:
    """JSON, as far as it goes: deep trees do not fit json's own recursion."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(30_000)
    try:
        return json.dumps(tree)
    finally:
        sys.setrecursionlimit(limit)


class Escaped(BaseException):
    """The case did what no data may make emdist do."""


def cage(folder: Path) -> None:
    """Limit memory from here on, and raise `Escaped` for what data must never bring about."""
    import tempfile

    own = (str(folder), tempfile.gettempdir() + "/numba", "/dev/null", str(ROOT))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork"):
            raise Escaped(f"{event} {arguments!r:.200}")
        if event == "socket.connect" or (event == "pickle.find_class" and not _own_cache()):
            raise Escaped(f"{event} {arguments!r:.200}")
        if event == "import" and CANARY in str(arguments[0]):
            raise Escaped(f"import {arguments[0]}")
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"):
            where = os.fsdecode(arguments[0])
            if where.startswith("/") and not os.path.realpath(where).startswith(own):
                raise Escaped(f"{event} {where}")
        if event == "open" and isinstance(arguments[0], str | bytes):
            _watch_open(os.fsdecode(arguments[0]), arguments[2], own)

    sys.addaudithook(hook)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _own_cache() -> bool:
    """Whether the pickle is of numba's cache of compiled code, or made just now by Dask."""
    frame = sys._getframe()
    while frame is not None:
        if "/numba/" in frame.f_code.co_filename or "/dask/tokenize" in frame.f_code.co_filename:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _watch_open(name: str, flags: Any, own: tuple[str, ...]) -> None:
    real = os.path.realpath(name)
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    # Links in the input are followed (git-annex stores chunks so), those of emdist's own never.
    # Labels without metadata of their own are no labels: `inspect` looks at them as at input.
    followed = "/x.zarr/" in name or (not writes and name.endswith("/out/zarr.json"))
    followed = followed or (not writes and name.endswith("/labels.zarr/zarr.json"))
    if CANARY in real and Path(real).exists() and not followed:
        raise Escaped(f"opened {name}, which is {real}")
    if writes and not real.startswith(own):
        raise Escaped(f"wrote {name}, which is {real}")


class TooLong(BaseException):
    """The case has taken longer than `PATIENCE`."""


def _out_of_time(number: int, frame: Any) -> None:
    raise TooLong


def one(case: Callable[[random.Random, Path], str], seed: str, folder: Path) -> dict[str, Any]:
    """One case, and how it ended: ``kind`` is error, answer or fault."""
    from emdist.errors import EmdistError

    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        # A thread of a case that failed may still be writing what it had begun.
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {"kind": "answer", "what": case(random.Random(seed), folder)}
    except EmdistError as error:
        text = str(error)
        if len(text) > 20_000:
            return {"kind": "fault", "what": f"a message of {len(text)} characters: {text[:300]}"}
        return {"kind": "error", "what": type(error).__name__, "text": text[:300]}
    except BaseException as error:  # noqa: BLE001  that is the point
        signal.setitimer(signal.ITIMER_REAL, 0)
        last = [
            f"{f.filename.replace(str(ROOT) + '/', '')}:{f.lineno} {f.name}"
            for f in traceback.extract_tb(error.__traceback__)
        ]
        return {
            "kind": "fault",
            "what": f"{type(error).__name__}: {error!s:.300}",
            "at": last[-12:],
        }
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True)
class Found:
    """What a batch came to.

    Attributes
    ----------
    cases, errors, answers
        How many were run, and how they ended.
    faults
        The others: what happened, with the name of the case.
    kinds
        Classes of the errors met.
    """

    cases: int
    errors: int
    answers: int
    faults: list[dict[str, Any]]
    kinds: set[str]


def batch(target: str, seed: int, count: int, folder: Path, seconds: float = 600) -> Found:
    """`count` cases of `target`, in children; one that crashes or hangs is followed by another."""
    results: list[dict[str, Any]] = []
    at = 0
    deadline = time.monotonic() + seconds
    while at < count and time.monotonic() < deadline:
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.hostile.spoilt_files", target]
        command += [str(seed), str(at), str(count - at), str(folder)]
        with (folder / "stderr.txt").open("wb") as errors:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environment(MALLOC_ARENA_MAX="2"),
            )  # fmt: skip
            watch = _Watch(child)
            lines = list(watch.lines(deadline))
        done = [line for line in lines if "kind" in line]
        results += done
        at += len(done)
        if at < count and (len(lines) > len(done) * 2 or not done):
            text = (folder / "stderr.txt").read_text(errors="replace")[-3000:]
            what = "hung" if watch.killed else f"ended with {child.returncode}"
            results.append({"case": at, "kind": "fault", "what": f"the process {what}: {text}"})
            at += 1
    kinds = {r["what"] for r in results if r["kind"] == "error"}
    by = [r["kind"] for r in results]
    faults = [r for r in results if r["kind"] == "fault"]
    return Found(len(results), by.count("error"), by.count("answer"), faults, kinds)


class _Watch:
    """Lines of a child, which is killed when a case takes twice as long as it may."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child, self.killed = child, False

    def lines(self, deadline: float) -> Iterator[dict[str, Any]]:
        import threading

        heard = [time.monotonic()]
        over = threading.Event()

        def guard() -> None:
            while not over.wait(0.5):
                now = time.monotonic()
                if now - heard[0] > 2 * PATIENCE or now > deadline:
                    self.killed = now <= deadline
                    self.child.kill()
                    return

        thread = threading.Thread(target=guard, daemon=True)
        thread.start()
        assert self.child.stdout is not None
        for line in self.child.stdout:
            heard[0] = time.monotonic()
            with contextlib.suppress(ValueError):
                yield json.loads(line)
        self.child.wait()
        over.set()
        thread.join()


def main(target: str, seed: str, first: str, count: str, folder: str) -> None:
    """The child."""
    from tests.hostile.targets import TARGETS

    work = Path(folder) / target
    made = TARGETS[target](work / "good")
    signal.signal(signal.SIGALRM, _out_of_time)
    cage(work)
    for i in range(int(first), int(first) + int(count)):
        print(json.dumps({"case": i, "begins": True}), flush=True)
        found = one(made, f"{target}-{seed}-{i}", work / "case")
        print(json.dumps({"case": i, **found}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
