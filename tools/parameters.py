"""Generate documentation and schema files from the table of parameters, `emdist.parameters`.

``python -m tools.parameters`` writes the docstrings of the estimators, ``reference.yaml``, the JSON
schema and ``docs/parameters.md``. With ``--check`` it only names the files that would change, and
exits with 1 if there are any.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

import emdist
from emdist.composition.sweep_config import SweepConfig, SweepSection
from emdist.parameters.attributes import attribute
from emdist.parameters.configuration import CONFIGURATION
from emdist.parameters.entry import Parameter
from emdist.parameters.variants import entry
from emdist.settings.config import Config
from emdist.settings.section import Section
from emdist.wording import OPTIONS, PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "emdist" / "configurations"

_END = r"(?=\n\n    [A-Z]\w+\n    -{3,}|\n    \"\"\")"
_SECTIONS = {
    name: re.compile(rf"    {name}\n    -{{10}}\n(?P<body>.*?){_END}", re.S)
    for name in ("Parameters", "Attributes")
}
#: Names before the description of one or several attributes.
_NAMES = re.compile(r"^    (\w+_(?:, *\w+_)*)(?=,?$| :)", re.M)


def estimators() -> list[type[Any]]:
    """List the public classes whose constructors have documented parameters."""
    found = [getattr(emdist, name) for name in emdist.__all__]
    return [one for one in found if inspect.isclass(one) and hasattr(one, "get_params")]


def parameters_of(cls: type[Any]) -> str:
    """Make the section "Parameters" of an estimator's docstring."""
    told = []
    for name, parameter in inspect.signature(cls).parameters.items():
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        told.append(entry(cls.__name__, name).docstring(name, default))
    return "\n".join(told).rstrip()


def attributes_of(cls: type[Any], before: str) -> str:
    """Make the section "Attributes", for the attributes that the section `before` names."""
    names = [name for found in _NAMES.findall(before) for name in re.findall(r"\w+", found)]
    return "\n".join(attribute(cls.__name__, name).docstring(name, "") for name in names)


def with_docstring(text: str, cls: type[Any]) -> str:
    """Return the source `text` of a module with renewed sections in the docstring of `cls`."""
    at = re.search(rf"^class {cls.__name__}\b", text, re.M)
    for name, section in _SECTIONS.items():
        found = at and section.search(text, at.start())
        if not found:
            raise SystemExit(f"{cls.__name__} has no section {name}")
        made = parameters_of(cls) if name == "Parameters" else attributes_of(cls, found["body"])
        text = text[: found.start("body")] + made + text[found.end("body") :]
    return text


def sections() -> Iterator[tuple[str, type[Section], bool]]:
    """Yield name and class of each section of a configuration, and whether it is optional."""
    for name, field in SweepConfig.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        kind = next(one for one in kinds if isinstance(one, type) and issubclass(one, Section))
        yield name, kind, field.default is None


def reference() -> str:
    """Make ``reference.yaml``: every section and key with its default."""
    lines = [
        "# Every section and key of a configuration, with its default. Only data.path has none.",
        "# The fields are those of `emdist fit --config`, `emdist flow cluster` and deployments.",
    ]
    for name, kind, optional in sections():
        if kind is SweepSection:
            continue
        lines += ["", f"{name}: null" if optional else f"{name}:"]
        for key, default in _defaults(name, kind).items():
            shown = _yaml(default)
            known = CONFIGURATION[f"{name}.{key}"]
            known = known if default is None else replace(known, default="")
            lines += _commented(known, "# " if optional else "  ")
            lines.append(f"#   {key}: {shown}" if optional else f"  {key}: {shown}")
    return "\n".join(lines) + "\n"


def _commented(known: Parameter, indent: str) -> list[str]:
    prefix = indent + ("  # " if indent == "# " else "# ")
    told = [known.sentences, *([f"Default: {known.default}"] if known.default else [])]
    lines = textwrap.wrap(" ".join(told), 100, initial_indent=prefix, subsequent_indent=prefix)
    for choice, what in known.choices.items():
        lines += textwrap.wrap(
            f"{choice}: {what}" if what else choice,
            100,
            initial_indent=f"{prefix}- ",
            subsequent_indent=f"{prefix}  ",
            break_on_hyphens=False,
        )
    return lines


def _yaml(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).split("\n...")[0].strip()
    )


def _defaults(name: str, kind: type[BaseModel]) -> dict[str, Any]:
    examples = {"data.path": "features.zarr", "ingest.source": "features.csv"}
    places = {one.rpartition(".")[2]: None for one in CONFIGURATION if one.startswith(f"{name}.")}
    found: dict[str, Any] = {}
    for key in places:
        if f"{name}.{key}" not in CONFIGURATION:
            continue
        field = kind.model_fields.get(key)
        needed = field is not None and field.is_required()
        default = None if field is None else field.get_default(call_default_factory=True)
        found[key] = examples.get(f"{name}.{key}") if needed else default
    return found


def page() -> str:
    """Make ``docs/parameters.md``: the reference of all parameters."""
    lines = [
        "# Parameters",
        "",
        "This page lists every parameter of a configuration, with the option of the command line",
        "and the parameter in Python that do the same. Parameters that only Python has are in the",
        "docstrings of the estimators.",
    ]
    for name, kind, _ in sections():
        lines += ["", f"## {name}"]
        for key in _defaults(name, kind):
            place = f"{name}.{key}"
            lines += ["", *_entry(place, CONFIGURATION[place], kind)]
    return "\n".join(lines) + "\n"


def _entry(place: str, known: Parameter, kind: type[BaseModel]) -> Iterator[str]:
    field = kind.model_fields.get(place.rpartition(".")[2])
    names = [f"`{name}`" for name in (OPTIONS.get(place), PARAMETERS.get(place)) if name]
    value = None
    if field is not None and not field.is_required():
        value = field.get_default(call_default_factory=True)
    default = known.default or ("" if value is None else f"`{_yaml(value)}`")
    needed = field is not None and field.is_required()
    yield f"**`{place}`** {'(' + ', '.join(names) + ') ' if names else ''}{known.shown_type}  "
    yield "Required." if needed else f"Default: {default.rstrip('.') or 'none'}."
    yield from textwrap.wrap(known.sentences, 100)
    if any(known.choices.values()):
        yield ""
        for choice, what in known.choices.items():
            yield f"- `{choice}`: {what}" if what else f"- `{choice}`"


def outputs() -> dict[Path, str]:
    """Return the text of every file that is generated, as a whole or in part."""
    found: dict[Path, str] = {}
    for cls in estimators():
        path = Path(inspect.getsourcefile(cls) or "")
        found[path] = with_docstring(found.get(path) or path.read_text(encoding="utf-8"), cls)
    found[SHIPPED / "reference.yaml"] = reference()
    found[SHIPPED / "schema.json"] = json.dumps(Config.model_json_schema(), indent=1) + "\n"
    found[ROOT / "docs" / "parameters.md"] = page()
    return found


def main(check: bool) -> int:
    """Write the files that changed, or only name them if `check`; return the exit code."""
    changed = [
        (path, text)
        for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in changed:
        print(path.relative_to(ROOT))
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
