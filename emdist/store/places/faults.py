"""Failures of file systems and object stores, turned into a StorageError with a remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from emdist.errors import AccessDeniedError, EmdistError, NotFoundError, StorageError
from emdist.inputs.quoting import without_credentials
from emdist.wording import either

#: How to go on after an error. A run continues from its last checkpoint.
AGAIN = either("try again", "start the same run again")
_SPACE = "Free some space and start again; no existing data is lost"
_FOLDER = "Part of this path is a file, or a folder is in place of a file; choose another path"

#: How many characters of an error's message are examined, and how many are shown.
_QUOTED, _SHOWN = 4096, 300
#: What happened and what to do, by errno.
_ADVICE = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: (
        "the file would be larger than the file system or `ulimit -f` allows",
        "Raise the limit or choose another disk, and start again; no existing data is lost",
    ),
    errno.EROFS: ("the file system is read-only", "Choose a folder that can be written"),
    errno.EACCES: ("permission denied", "Change its permissions or choose another folder"),
    errno.EPERM: (
        "the operation is not permitted",
        "Change its permissions or choose another folder",
    ),
    errno.ENOTDIR: ("it is not a folder", _FOLDER),
    errno.EEXIST: ("it is not a folder", _FOLDER),
    errno.EISDIR: ("it is a folder, not a file", _FOLDER),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter path"),
    errno.ELOOP: ("its symbolic links form a loop", "Choose another path"),
    errno.EIO: ("the device failed", "Check the disk (dmesg, smartctl) before you start again"),
    errno.ESTALE: ("the network file system is gone", "Mount it again and start again"),
    errno.EMFILE: ("the process has too many open files", "Raise `ulimit -n` and start again"),
    errno.ENOENT: ("it was deleted meanwhile", "Check whether something else deletes files there"),
}


def storage_error(action: str, where: object, error: OSError) -> StorageError:
    """Return the StorageError for an OSError met while trying to `action` (a verb) `where`."""
    unknown = (os.strerror(error.errno) if error.errno else str(error), "Check it and start again")
    what, remedy = _ADVICE.get(error.errno or 0, unknown)
    failure = StorageError(f"cannot {action} {where}: {what}. {remedy}.")
    failure.errno = error.errno
    return failure


@contextmanager
def told(action: str, where: object) -> Iterator[None]:
    """Turn an OSError inside into a StorageError. emdist's own errors pass unchanged."""
    try:
        yield
    except EmdistError:
        raise
    except OSError as error:
        raise storage_error(action, where, error) from error


@contextmanager
def object_told(action: str, where: object) -> Iterator[None]:
    """Turn an obstore error inside into a StorageError, or NotFoundError if nothing is there."""
    import obstore.exceptions as fault

    refused = _refusals()
    try:
        yield
    except (EmdistError, FileExistsError):
        raise
    except FileNotFoundError as error:
        if action == "read":
            raise NotFoundError(f"there is nothing at {where}") from None
        raise StorageError(
            f"cannot {action} {where}: {first_line(error)}. Check that the bucket exists."
        ) from None
    except refused as error:
        raise AccessDeniedError(f"cannot {action} {where}: {access_denied(error, AGAIN)}") from None
    except (fault.BaseError, OSError, NotImplementedError) as error:
        raise StorageError(
            f"cannot {action} {where}: {first_line(error)}. Check that the bucket exists and the "
            "store can be reached, and start again; no existing data is lost."
        ) from None


def _refusals() -> tuple[type[Exception], ...]:
    import obstore.exceptions as fault

    return fault.PermissionDeniedError, fault.UnauthenticatedError


def is_refusal(error: BaseException) -> bool:
    """Return whether an object store denied access."""
    # obstore may not be installed. If it is not imported, the error cannot be its own.
    return type(error).__module__.startswith("obstore") and isinstance(error, _refusals())


def access_denied(error: Exception, again: str) -> str:
    """Return what happened and what to do, where `again` says how to go on afterwards."""
    return (
        f"access denied ({first_line(error)}). Check the credentials and their permissions. If "
        f"they have expired, renew them and {again}."
    )


def first_line(error: Exception) -> str:
    """Return what went wrong, without obstore's debug output, credentials and signatures."""
    # Take only the first line: the rest is debug output. Remove queries, which may be signatures.
    # Shorten the text first to `_QUOTED` characters, because data can make it any length, and to
    # `_SHOWN` only at the end, because a password in half a URL could not be recognised.
    line = without_credentials((str(error)[:_QUOTED].splitlines() or [""])[0])
    return line.replace("?...", "")[:_SHOWN].rstrip(". ") or type(error).__name__
