"""The summary of a finished run, sealed by a digest, so that a second start can show it."""

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
#: Key of the digest in the summary.
_DIGEST = "sha256"


def finished_summary(
    location: Location, identity: Mapping[str, Any], is_whole: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any] | None:
    """Return the summary of a finished run, which a second start shows; None if it has not one.

    Parameters
    ----------
    location
        The folder of the run.
    identity
        Digests of the run's configuration and data.
    is_whole
        Whether a summary has all values that are shown.
    """
    try:
        summary = stored_summary(location, identity)
        if summary is None or not is_whole(summary):
            return None
        # If summary or model is torn or damaged, both are made again from the last checkpoint.
        return None if RunFolder(location).read_final() is None else summary
    except NewerFormatError:
        raise
    except (NotFoundError, CheckpointError):
        return None


def stored_summary(location: Location, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the summary in a run's folder; None if there is none, or it is of another run."""
    try:
        return unsealed(open_folder(location).read(SUMMARY, MANIFEST_LIMIT), identity)
    except (NotFoundError, CheckpointError):
        return None


def identity_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return digests of the configuration and data of a run's record, which tell runs apart."""
    return {name: digest(record.get(name)) for name in ("config", "data")}


def sealed(summary: bytes, identity: Mapping[str, Any]) -> bytes:
    """Return a summary with a digest of its values and of the run's `identity`."""
    values = json.loads(summary)
    return (
        json.dumps({**values, _DIGEST: digest([values, dict(identity)])}, indent=2) + "\n"
    ).encode()


def unsealed(data: bytes, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a summary without its digest; None if it is damaged or of another run."""
    try:
        values: dict[str, Any] = json.loads(data)
        if not isinstance(values, dict):
            return None
        told = values.pop(_DIGEST, None)
        return values if told == digest([values, dict(identity)]) else None
    except (ValueError, RecursionError):
        return None
