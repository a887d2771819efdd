"""``emdist config``: prints the example configurations that are part of emdist."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import Annotated

import typer

from emdist.errors import ConfigError
from emdist.inputs.plugins import nearest
from emdist.report.answer import REPEAT, reported

#: Configurations that are listed first, in the order in which a user needs them.
_FIRST = ("quickstart", "reference", "rows", "hmm")


def config(
    name: Annotated[
        str | None,
        typer.Argument(help="Configuration to print. Without a name, emdist lists all of them."),
    ] = None,
) -> None:
    """Print an example configuration.

    Edit it, and pass it to `emdist fit -f`.

    Examples:
      emdist config
      emdist config quickstart > quickstart.yaml
    """
    with reported(False, REPEAT):
        known = shipped()
        if name is None:
            print("\n".join(f"{one:<20}{_about(text)}" for one, text in known.items()))
            print("\nTo save one of them: emdist config NAME > NAME.yaml", file=sys.stderr)
            return
        wanted = name.removesuffix(".yaml")
        if wanted not in known:
            raise ConfigError(
                f"emdist has no configuration {name!r}{nearest(wanted, known)}. Choose one of "
                f"{', '.join(known)}."
            )
        print(known[wanted], end="")


def shipped() -> dict[str, str]:
    """Return the text of each configuration that is part of the package, by name."""
    folder = files("emdist") / "configurations"
    found = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    order = [*(name for name in _FIRST if name in found), *sorted(set(found) - set(_FIRST))]
    return {name: found[name] for name in order}


def _about(text: str) -> str:
    """Return the first line of a configuration, without its comment sign."""
    return text.partition("\n")[0].lstrip("# ")
