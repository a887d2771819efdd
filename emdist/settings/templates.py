"""Templates in a configuration, such as ``daily-{scheduled:%Y-%m-%d}``: Prefect flows fill them.

They are allowed in `PLACES` only. A literal brace is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any

from emdist.errors import ConfigError
from emdist.inputs.plugins import nearest
from emdist.inputs.validation import key_fault

#: Keys whose values may be templates, in configurations of flows; the last two are of `label`.
PLACES = ("run.key", "data.path", "labels.path", "model", "out")
_SCHEDULED = "scheduled"
FIELDS = (_SCHEDULED, "flow_run", "deployment")
#: Directives of strftime that every platform and language writes alike.
_DIRECTIVES = "YymdjHMSGVuUW%"
_KNOWN = re.compile(r"\{(?:" + "|".join(FIELDS) + r")\b")
_EXAMPLE = "{scheduled:%Y-%m-%d}"


@dataclass(frozen=True)
class Occasion:
    """What templates are filled with.

    Attributes
    ----------
    scheduled
        The time for which the flow run was scheduled, in the time zone of its schedule.
    flow_run
        The id of the flow run.
    deployment
        The name of its deployment, or None.
    """

    scheduled: datetime
    flow_run: str
    deployment: str | None

    def fill(self, place: str, text: str) -> str:
        """Return the `text` at the key `place` with its fields replaced; raise ConfigError."""
        made = [
            literal + ("" if field is None else self._value(place, text, field, form))
            for literal, field, form in _parsed(place, text)
        ]
        found = "".join(made)
        if place == "run.key" and (why := key_fault(found)) is not None:
            raise ConfigError(f"{place}: {text!r} gives {found!r}, which {why}.")
        return found

    def _value(self, place: str, text: str, field: str, form: str) -> str:
        if field == _SCHEDULED:
            return self.scheduled.strftime(form)
        if field == "flow_run":
            return self.flow_run
        if self.deployment is None:
            raise ConfigError(
                f"{place}: {text!r} has the field {{deployment}}, but this flow run belongs to no "
                "deployment. Write the name itself, or start the run from a deployment."
            )
        return self.deployment


def filled(values: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    """Return the configuration `values` with all its templates filled; raise ConfigError."""
    found = {key: dict(v) if isinstance(v, Mapping) else v for key, v in values.items()}
    for place in PLACES:
        section, _, key = place.rpartition(".")
        at = found.get(section) if section else found
        if isinstance(at, dict) and isinstance(at.get(key), str):
            at[key] = occasion.fill(place, at[key])
    return found


def check_templates(values: Mapping[str, Any]) -> None:
    """Raise ConfigError for a malformed template, as `filled` would."""
    for place, text in _texts(values):
        for _ in _parsed(place, text):
            pass


def has_templates(values: Mapping[str, Any]) -> bool:
    """Return whether any value has a field that a flow would fill."""
    return any(_KNOWN.search(text) for _, text in _texts(values))


def refuse_templates(values: Mapping[str, Any], command: str) -> None:
    """Raise ConfigError if a value has a field, because only a flow can fill it.

    `command` is what to start instead, such as ``emdist flow cluster``.
    """
    for place, text in _texts(values):
        if (field := _KNOWN.search(text)) is not None:
            raise ConfigError(
                f"{place} is {text!r}, but only a Prefect flow has a value for {field[0]}}}. Start "
                f"`{command}`, or write the value itself, as in --set {place}=NAME."
            )


def _texts(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    found = []
    for place in PLACES:
        section, _, key = place.rpartition(".")
        at = values.get(section) if section else values
        if isinstance(at, Mapping) and isinstance(text := at.get(key), str):
            found.append((place, text))
    return found


def _parsed(place: str, text: str) -> Sequence[tuple[str, str | None, str]]:
    """Return the parts of a template as (literal text, field after it, format of the field)."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ConfigError(
            f"{place}: {text!r} is no template: {error}. Expected fields such as {_EXAMPLE}; write "
            "a brace that stands for itself twice."
        ) from None
    found = []
    for literal, field, form, conversion in parts:
        if field is not None:
            _check(place, text, field, form or "", conversion)
        found.append((literal, field, form or ""))
    return found


def _check(place: str, text: str, field: str, form: str, conversion: str | None) -> None:
    where = f"{place}: {text!r}"
    if field not in FIELDS or conversion:
        known = f"{_EXAMPLE}, {{flow_run}} and {{deployment}}"
        raise ConfigError(
            f"{where} has the unknown field {{{field}{'!' + conversion if conversion else ''}}}"
            f"{nearest(field, FIELDS)}. Expected {known}; write a brace that stands for itself "
            "twice."
        )
    if field != _SCHEDULED:
        if form:
            raise ConfigError(f"{where}: {{{field}}} takes no format. Remove ':{form}'.")
        return
    directives = re.findall(r"%(.?)", form, re.DOTALL)
    wrong = [f"%{one}" for one in directives if one == "" or one not in _DIRECTIVES]
    if wrong or not directives or "{" in form:
        what = f"the format {wrong[0]}" if wrong else f"no format of a date ({form!r})"
        each = ", ".join(f"%{one}" for one in _DIRECTIVES)
        raise ConfigError(
            f"{where}: {{scheduled}} has {what}. Expected a format as in {_EXAMPLE}, of {each}."
        )
