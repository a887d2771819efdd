"""Defects: whether an error is a fault of the code, or of what the code has read.

Codecs and parsers raise exceptions of any kind, so the kind of an error alone does not decide. An
OSError is a failure of the store. An error that names a mistake in code (a missing attribute, a
call with wrong arguments) and is raised in emdist's own lines is a defect. No user can correct it
by writing the data again. For all other errors, such as a ValueError of a codec, a *control*
decides: it makes the same calls on something that is known to be valid. If these calls fail too,
emdist or a changed library is at fault, and not what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from emdist.errors import EmdistError
from emdist.runtime.contexts import set_to

#: Errors of a store, or of too little memory.
_OF_MACHINE = (OSError, MemoryError)
#: Where to report a defect.
REPORT = "https://github.com/emdist/emdist/issues"
_NOTE = (
    "The data is not the cause. This is a defect of emdist, or of emdist with the installed "
    f"version of another library. Please report it with this traceback: {REPORT}"
)
#: Errors that name a mistake in code.
_OF_CODE = (
    *(AttributeError, TypeError, LookupError, NameError, ImportError),
    *(AssertionError, NotImplementedError),
)
_HERE = str(Path(__file__).parents[1])
#: Whether a control is running. Whatever fails in it is a defect.
_controlling: ContextVar[bool] = ContextVar("emdist_controlling", default=False)


def is_defect(error: BaseException, control: Callable[[], object] | None = None) -> bool:
    """Return whether `error` is a fault of the code.

    If so, a note that says so is added to it, and the caller must raise it unchanged.

    Parameters
    ----------
    error
        What reading raised.
    control
        A function that does the same with something sound. None checks only for mistakes in code.
    """
    if isinstance(error, (EmdistError, *_OF_MACHINE)) or _is_of_store(error):
        return False
    if _NOTE in getattr(error, "__notes__", ()):
        return True  # It was recognised as a defect by an inner call.
    names_code = isinstance(error, _OF_CODE)
    if control is None or _controlling.get():
        if not names_code:
            return False
    elif not (names_code and _raised_here(error)) and not _fails(control):
        return False
    error.add_note(_NOTE)
    return True


def _is_of_store(error: BaseException) -> bool:
    return type(error).__module__.startswith("obstore")


def _raised_here(error: BaseException) -> bool:
    """Return whether a line of emdist raised the error, or a C function that this line called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE)


def _fails(control: Callable[[], object]) -> bool:
    """Return whether `control` fails, other than by the store or for lack of memory."""
    try:
        with set_to(_controlling, True):
            control()
    except Exception as error:  # noqa: BLE001  whatever it is, its class decides
        return not isinstance(error, _OF_MACHINE)
    return False
