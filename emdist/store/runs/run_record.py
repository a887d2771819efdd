"""run.json: the record of a run, and how it differs from the run that is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from emdist.errors import CheckpointError, RunMismatchError
from emdist.interfaces import FORMAT_VERSION
from emdist.store.runs.sealed import canonical

#: Sections of the record that must be equal for a run to be resumed.
IDENTITY = ("config", "data", "plan")
#: Settings that may change when a run is extended, because they do not affect earlier iterations.
EXTENDABLE = ("config.fit.max_iter", "config.fit.tol")
#: What the record says about the run since it began. These keys are not compared.
RESULT, CHANGES = "result", "changes"

_SHOWN = 20
_WIDTH = 60
_ABSENT = "(absent)"


def digest(value: Any) -> str:
    """Return the sha256 (hex) of `value` as canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def new_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of run.json: `record` with format version, config digest and time.

    Parameters
    ----------
    record
        JSON values under ``config``, ``data`` (fingerprint), ``plan`` (of blocks) and ``versions``
        (of libraries). Other keys are stored and not compared.
    """
    plain: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return plain | {
        "format": FORMAT_VERSION,
        "config_digest": digest(plain.get("config")),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def compare(
    stored: Mapping[str, Any], asked: Mapping[str, Any], where: object, extend: bool = False
) -> list[str]:
    """Return warnings if the run may be resumed, or raise the error if it may not.

    Parameters
    ----------
    extend
        Whether the settings in `EXTENDABLE` may differ.

    Raises
    ------
    RunMismatchError
        If configuration, data or block plan differ. The message shows each difference as old ->
        new.
    CheckpointError
        If the stored configuration does not have the stored digest, because it was edited.
    """
    if stored.get("config_digest") != digest(stored.get("config")):
        raise CheckpointError(
            f"{where} was edited or damaged: its configuration does not match the stored digest. "
            "Restore the file, or use another run.key."
        )
    found = identity_differences(stored, asked)
    # The keys of the configuration, by which messages name settings.
    lines = [f"  {_as_key(line)}" for line in found]
    if lines and not (extend and extendable(found)):
        more = [f"  ... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        what = "belongs to a different run (stored -> requested)"
        if _of_other_data(found):
            what = "belongs to a run whose data has changed since (stored -> present)"
        raise RunMismatchError(
            f"{where} {what}:\n"
            + "\n".join(lines[:_SHOWN] + more)
            + f"\nNothing was changed. {_remedy(found, grown(stored, asked))}"
        )
    changed = differences(stored.get("versions"), asked.get("versions"), "versions")
    return [f"the run was started with another version: {line}" for line in changed]


def _as_key(line: str) -> str:
    """Return a line about a setting that begins with its key; other lines are unchanged."""
    if not line.startswith("config."):
        return line
    return line.removeprefix("config.").replace(_ABSENT, "(default)")


def identity_differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return lines, as `differences` does, for what must be equal to resume a run."""
    return [line for key in IDENTITY for line in differences(stored.get(key), asked.get(key), key)]


def extendable(lines: list[str]) -> bool:
    """Return whether all `lines` of `identity_differences` are about settings in `EXTENDABLE`."""
    return all(line.partition(": ")[0] in EXTENDABLE for line in lines)


def _of_other_data(found: list[str]) -> bool:
    """Return whether only the data, and the block plan that follows from them, have changed."""
    return all(line.startswith(("data.", "plan")) for line in found) and any(
        line.startswith("data.") for line in found
    )


def grown(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return how to go on with data that have only become longer since; "" for other changes."""
    old, new = (_sizes(one.get("data")) for one in (stored, asked))
    if not (old and new and old[0] < new[0] and old[1:] == new[1:]):
        return ""
    return (
        f"The data have grown from {old[0]:,} to {new[0]:,} rows along their first dimension. To "
        f"fit the rows that there were, set data.select_rows to ':{old[0]}'. To go on with all of "
        "them, set fit.from to a finished run. Both need another run.key."
    )


def _sizes(data: Any) -> list[int]:
    """Return the sizes of the sample dimensions in a fingerprint, then the number of features."""
    if not isinstance(data, Mapping):
        return []
    shape, grid = data.get("shape"), data.get("grid")
    found = [*grid, shape[-1]] if isinstance(grid, list) and isinstance(shape, list) else shape
    if not isinstance(found, list) or not all(isinstance(n, int) for n in found):
        return []
    return found


def _remedy(found: list[str], more: str = "") -> str:
    if _of_other_data(found):
        if more:
            return more
        return (
            "Restore the earlier data to continue this run, or use another run.key (another "
            "folder) for the present data."
        )
    if extendable(found):
        return (
            "To continue it from its last checkpoint with the new values, extend it (--extend of "
            "`emdist fit` and `emdist sweep`, run.extend: true in a configuration). Or use another "
            "run.key (another folder)."
        )
    return (
        "Use another run.key (another folder), or delete this folder if you no longer need its "
        "checkpoints."
    )


def extended(
    stored: Mapping[str, Any], asked: Mapping[str, Any], checkpoint: int
) -> dict[str, Any] | None:
    """Return the contents of run.json when the run continues as `asked`; None if nothing changed.

    The former result moves to the list of changes, because it is not a result of the changed run.
    """
    found = identity_differences(stored, asked)
    if not found:
        return None
    change = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "checkpoint": checkpoint,
        "changed": found,
        "config_digest": stored.get("config_digest"),
        RESULT: stored.get(RESULT),
    }
    kept = {key: value for key, value in stored.items() if key != RESULT}
    return kept | {
        "config": asked["config"],
        "config_digest": digest(asked["config"]),
        CHANGES: [*former(stored), change],
    }


def former(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how a run was changed since it began, oldest change first."""
    found = stored.get(CHANGES)
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []


def differences(old: Any, new: Any, path: str) -> list[str]:
    """Return a line ``path.to.key: old -> new`` for each leaf that differs."""
    before, after = dict(leaves_of(old, path)), dict(leaves_of(new, path))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {_short(before.get(key, _ABSENT))} -> {_short(after.get(key, _ABSENT))}"
        for key in keys
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    ]


def leaves_of(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, canonical JSON) for each leaf of a nested value. None is left out."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from leaves_of(value[key], f"{path}.{key}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from leaves_of(item, f"{path}[{i}]")
    elif value is not None:
        yield path, canonical(value)


def _short(text: str) -> str:
    # Keep the quote or bracket at the end of the text.
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]}...{text[-1]}"
