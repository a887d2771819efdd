"""Defects: whether an error is a fault of the code, or of what the code has read.

Codecs and parsers raise what they like, so the kind of an error alone does not tell. An OSError is
the store's. An error that names a mistake in code (an attribute that is not there, a call with
other arguments) and comes from emdist's own lines is a defect, and no user can mend it by writing
the data again. For all others, such as a ValueError of a codec, a *control* decides: the same
calls, on something that is certainly sound. If they fail too, emdist or a library that has changed
is at fault, and not what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from emdist.errors import EmdistError
from emdist.runtime.contexts import set_to

#: Errors of a store, or of too little memory.
_OF_MACHINE = (OSError, MemoryError)
#: Where to tell of a defect.
REPORT = "https://github.com/emdist/emdist/issues"
_NOTE = (
    "This is a defect of emdist, or a library that emdist does not know in this version; the data "
    f"is not at fault. Please report it with this traceback: {REPORT}"
)
#: Errors that name a mistake in code.
_OF_CODE = (
    *(AttributeError, TypeError, LookupError, NameError, ImportError),
    *(AssertionError, NotImplementedError),
)
_HERE = str(Path(__file__).parents[1])
#: Whether a control is at work: what fails in it is a defect.
_controlling: ContextVar[bool] = ContextVar("emdist_controlling", default=False)


def is_defect(error: BaseException, control: Callable[[], object] | None = None) -> bool:
    """Whether `error` is a fault of the code; then it says so in a note, and is to be raised as is.

    Parameters
    ----------
    error
        What reading raised.
    control
        Does the same to something sound. None where only a mistake in code is looked for.
    """
    if isinstance(error, (EmdistError, *_OF_MACHINE)) or _is_of_store(error):
        return False
    if _NOTE in getattr(error, "__notes__", ()):
        return True  # it was judged further below
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
    """Whether a line of emdist raised it, or a function without lines that this line called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE)


def _fails(control: Callable[[], object]) -> bool:
    try:
        with set_to(_controlling, True):
            control()
    except Exception as error:  # noqa: BLE001  whatever it is, it is told by its kind
        return not isinstance(error, _OF_MACHINE)
    return False
