"""Write what is made of the table of parameters: docstrings of the estimators.

``python -m tools.parameters`` writes; with ``--check`` it tells what would change and exits with 1.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import emdist
from emdist.parameters.estimators import entry

_SECTION = re.compile(
    r"    Parameters\n    -{10}\n(?P<body>.*?)(?=\n\n    [A-Z]\w+\n    -{3,}|\n    \"\"\")", re.S
)


def estimators() -> list[type[Any]]:
    """The public classes whose constructors have documented parameters."""
    found = [getattr(emdist, name) for name in emdist.__all__]
    return [one for one in found if inspect.isclass(one) and hasattr(one, "get_params")]


def section(cls: type[Any]) -> str:
    """The lines of the section "Parameters" of an estimator."""
    told = []
    for name, parameter in inspect.signature(cls).parameters.items():
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        told.append(entry(cls.__name__, name).docstring(name, default))
    return "\n".join(told).rstrip()


def rewritten(text: str, cls: type[Any]) -> str:
    """The source `text` with the section of `cls`."""
    at = re.search(rf"^class {cls.__name__}\b", text, re.M)
    assert at is not None, cls
    found = _SECTION.search(text, at.start())
    assert found is not None, cls
    return text[: found.start("body")] + section(cls) + text[found.end("body") :]


def main(check: bool) -> int:
    """The number of files that differ."""
    wrong = 0
    for cls in estimators():
        path = Path(inspect.getsourcefile(cls) or "")
        text = path.read_text(encoding="utf-8")
        wanted = rewritten(text, cls)
        if wanted != text:
            wrong += 1
            print(path)
            if not check:
                path.write_text(wanted, encoding="utf-8")
    return wrong


if __name__ == "__main__":
    found = main("--check" in sys.argv)
    sys.exit(bool(found) and "--check" in sys.argv)
