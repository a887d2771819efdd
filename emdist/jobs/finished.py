"""The summary that a finished run leaves, sealed, so that a second start can show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from emdist.errors import CheckpointError, NewerFormatError, NotFoundError
from emdist.store.places.files import open_folder
from emdist.store.places.location import Location
from emdist.store.runs.run_folder import RunFolder
from emdist.store.runs.run_record import digest
from emdist.store.runs.sealed import MANIFEST_LIMIT

SUMMARY = "summary.json"
#: Key of the digest in it.
_DIGEST = "sha256"


def finished_summary(
    location: Location, identity: Mapping[str, Any], is_whole: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any] | None:
    """The summary of a run that is done, or None: what a second start shows.

    Parameters
    ----------
    location, identity
        Of the run.
    is_whole
        Whether a summary has all that is shown of it.
    """
    folder = open_folder(location)
    try:
        summary = unsealed(folder.read(SUMMARY, MANIFEST_LIMIT), identity)
        if summary is None or not is_whole(summary):
            return None
        # Both are made again from the last checkpoint where they are torn or damaged.
        return None if RunFolder(location).read_final() is None else summary
    except NewerFormatError:
        raise
    except (NotFoundError, CheckpointError):
        return None


def sealed(summary: bytes, identity: Mapping[str, Any]) -> bytes:
    """A summary with a digest of itself and of the run's `identity`."""
    values = json.loads(summary)
    return (
        json.dumps({**values, _DIGEST: digest([values, dict(identity)])}, indent=2) + "\n"
    ).encode()


def unsealed(data: bytes, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """A summary, or None if it is damaged or another run's."""
    try:
        values: dict[str, Any] = json.loads(data)
        if not isinstance(values, dict):
            return None
        told = values.pop(_DIGEST, None)
        return values if told == digest([values, dict(identity)]) else None
    except (ValueError, RecursionError):
        return None
