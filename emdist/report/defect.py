"""Report a failure of emdist itself: one message, and the traceback in a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from datetime import datetime

from emdist.errors import EmdistError, StorageError
from emdist.inputs.quoting import without_credentials
from emdist.runtime.defects import REPORT
from emdist.runtime.version import version

#: Number of characters of an error that a message quotes.
_QUOTED = 200


def told(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code for an error that emdist did not raise on purpose.

    The traceback is written to a file in the user's temporary folder, which the message names. If
    no file can be written, it goes to standard error.
    """
    what = type(error).__name__
    if text := without_credentials(str(error)[: 4 * _QUOTED]).partition("\n")[0]:
        what = f"{what}: {text[:_QUOTED]}"
    if isinstance(error, MemoryError):
        return (
            f"The process ran out of memory ({what}). Give it more memory, or set cluster.memory "
            "and a smaller data.block_size.",
            EmdistError.exit_code,
        )
    if isinstance(error, OSError) and error.errno is not None:
        return (
            f"The operating system refused an operation ({what}). Check the path, the permissions "
            "and the free space, then start the same command again.",
            StorageError.exit_code,
        )
    place = _place(error)
    return (
        f"This is a defect in emdist and no fault of your data: {what} ({place}). "
        f"{_kept(error)} Please report it: {REPORT}",
        EmdistError.exit_code,
    )


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"  # noqa: PTH119


def _kept(error: Exception) -> str:
    """Store the traceback, and return a sentence that says where it is."""
    text = without_credentials(
        f"emdist {version()}, Python {sys.version}\n{' '.join(sys.argv)}\n\n"
        + "".join(traceback.format_exception(error))
    )
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    try:
        # mkstemp makes it readable by the user alone: a traceback contains paths and settings.
        fd, path = tempfile.mkstemp(".log", f"emdist-defect-{stamp}-")
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        print(text, file=sys.stderr)
        return "The traceback is printed above."
    return f"The traceback is in {path}."
