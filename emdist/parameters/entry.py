"""An entry of the table of parameters, and how it reads as help or as part of a docstring."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    type
        As a docstring shows it, such as "float" or "{'raise', 'drop'}". Empty where `choices` tell.
    meaning
        Sentences that say what it does.
    when
        Sentences that say when to change it; empty where that is plain.
    default
        The default in words, where the value alone does not tell it.
    choices
        Values that it can have and what each does, in the order in which a person thinks of them.
    other_names
        Other names of choices that a configuration accepts, and the choice that each one means.
    """

    type: str
    meaning: str
    when: str = ""
    default: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    other_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown_type(self) -> str:
        """The type, or the choices in braces."""
        return self.type or "{" + ", ".join(repr(name) for name in self.choices) + "}"

    @property
    def sentences(self) -> str:
        """Meaning and advice as one paragraph."""
        return f"{self.meaning} {self.when}".strip()

    def docstring(self, name: str, default: str, indent: int = 4, width: int = 100) -> str:
        """Lines of a numpydoc section; `default` as Python writes it, empty if there is none."""
        pad = " " * indent
        kind = self.shown_type
        if default == "None" and not kind.endswith("None"):
            kind += " or None"
        head = f"{name} : {kind}" + (f", default={default}" if default else "")
        inner = pad + "    "
        lines = [*_wrapped(head, pad, inner, width), *_wrapped(self.sentences, inner, inner, width)]
        if any(self.choices.values()):
            lines.append("")
            for choice, what in self.choices.items():
                told = f"- {choice!r}: {what}" if what else f"- {choice!r}"
                lines += _wrapped(told, inner, inner + "  ", width)
            lines.append("")
        return "\n".join(lines)


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
