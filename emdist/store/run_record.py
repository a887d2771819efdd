"""run.json: what a run folder belongs to, and how that differs from what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from emdist.errors import CheckpointError, RunMismatchError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.sealed import canonical

#: Sections of the record that must be equal for a run to be continued.
IDENTITY = ("config", "data", "plan")

_SHOWN = 20
_WIDTH = 60
_ABSENT = "(absent)"


def digest(value: Any) -> str:
    """sha256 (hex) of `value` as canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def new_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json holds: `record` with format version, digest of the config and time.

    Parameters
    ----------
    record
        JSON values under ``config``, ``data`` (fingerprint), ``plan`` (of blocks) and
        ``versions`` (of libraries); other keys are stored and not compared.
    """
    plain: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return plain | {
        "format": FORMAT_VERSION,
        "config_digest": digest(plain.get("config")),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def compare(stored: Mapping[str, Any], asked: Mapping[str, Any], where: object) -> list[str]:
    """Warnings for a run that may be continued, or the error for one that may not.

    Raises
    ------
    RunMismatchError
        If configuration, data or block plan differ; shows each difference as old -> new.
    CheckpointError
        If the stored configuration does not have the stored digest: it was edited.
    """
    if stored.get("config_digest") != digest(stored.get("config")):
        raise CheckpointError(
            f"{where}: the configuration does not have the digest beside it; the file was edited "
            "or damaged. Restore it, or use another run key."
        )
    lines = [
        f"  {line}"
        for key in IDENTITY
        for line in differences(stored.get(key), asked.get(key), key)
    ]
    if lines:
        more = [f"  ... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise RunMismatchError(
            f"{where} belongs to another run (what it has -> what was asked for):\n"
            + "\n".join(lines[:_SHOWN] + more)
            + "\nNothing was changed. Use another run key (another folder), or delete this one "
            "if its checkpoints are no longer needed."
        )
    changed = differences(stored.get("versions"), asked.get("versions"), "versions")
    return [f"the run was started with other versions; {line}" for line in changed]


def differences(old: Any, new: Any, path: str) -> list[str]:
    """Lines ``path.to.key: old -> new``, one per leaf that differs."""
    before, after = dict(_leaves(old, path)), dict(_leaves(new, path))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {_short(before.get(key, _ABSENT))} -> {_short(after.get(key, _ABSENT))}"
        for key in keys
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(value[key], f"{path}.{key}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}[{i}]")
    elif value is not None:
        yield path, canonical(value)


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
