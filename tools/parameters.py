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
from emdist.composition.daily_config import DailyConfig, DailySection
from emdist.composition.sweep_config import SweepConfig, SweepSection
from emdist.parameters.attributes import attribute
from emdist.parameters.configuration import CONFIGURATION
from emdist.parameters.entry import Parameter
from emdist.parameters.variants import entry
from emdist.settings.config import ChainSection, Config, ModelSection, NoiseSection
from emdist.settings.section import Section
from tools.parameter_page import page

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "emdist" / "configurations"

_END = r"(?=\n\n    [A-Z]\w+\n    -{3,}|\n    \"\"\")"
_SECTIONS = {
    name: re.compile(rf"    {name}\n    -{{10}}\n(?P<body>.*?){_END}", re.S)
    for name in ("Parameters", "Attributes")
}
#: Sections within a section.
_WITHIN: dict[str, type[BaseModel]] = {"noise": NoiseSection, "chain": ChainSection}
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
    for name, field in {**SweepConfig.model_fields, **DailyConfig.model_fields}.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        found = [one for one in kinds if isinstance(one, type) and issubclass(one, Section)]
        if found:  # Not the list of steps, `prepare`.
            yield name, found[0], field.default is None


def reference() -> str:
    """Make ``reference.yaml``: the keys of the table with their defaults."""
    lines = [
        "# The keys of a configuration, with their defaults.",
        "# Only data.path has none. The fields",
        "# are those of `emdist fit --config`, `emdist flow cluster` and deployments. Not here,",
        "# but in docs/parameters.md: the keys of clusters of Dask, the options of models,",
        "# assignments, weights and schedules, and the sections sweep and daily.",
    ]
    for name, kind, optional in sections():
        if kind in (SweepSection, DailySection):
            continue
        if kind is ModelSection:
            lines += ["", *_commented(CONFIGURATION["prepare"], ""), "prepare: []"]
        lines += ["", f"{name}: null" if optional else f"{name}:"]
        above = ""
        for key, default in _defaults(name, kind).items():
            known = CONFIGURATION[f"{name}.{key}"]
            known = known if default is None else replace(known, default="")
            # Keys within a key whose default is null are comments, as in an optional section.
            outer, _, inner = key.rpartition(".")
            if outer and outer != above:
                lines.append(f"  # {outer}:")
            above = outer
            indent = "  # " if outer else "# " if optional else ""
            lines += _commented(known, indent or "  ")
            lines.append(f"{indent}  {inner}: {_yaml(default)}")
    return "\n".join(lines) + "\n"


def _commented(known: Parameter, indent: str) -> list[str]:
    prefix = indent + ("  # " if indent.endswith("# ") else "# ")
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
    places = [one for one in CONFIGURATION if one.startswith(f"{name}.")]
    outer = [one.split(".")[1] for one in places]
    places.sort(key=lambda one: outer.index(one.split(".")[1]))  # Inner keys follow the outer one.
    found: dict[str, Any] = {}
    for key in (one.removeprefix(f"{name}.") for one in places):
        within = _WITHIN.get(key.partition(".")[0], kind) if "." in key else kind
        field = within.model_fields.get(key.rpartition(".")[2])
        needed = field is not None and field.is_required()
        default = None if field is None else field.get_default(call_default_factory=True)
        found[key] = examples.get(f"{name}.{key}") if needed else default
    return found


def outputs() -> dict[Path, str]:
    """Return the text of every file that is generated, as a whole or in part."""
    found: dict[Path, str] = {}
    for cls in estimators():
        path = Path(inspect.getsourcefile(cls) or "")
        found[path] = with_docstring(found.get(path) or path.read_text(encoding="utf-8"), cls)
    found[SHIPPED / "reference.yaml"] = reference()
    found[SHIPPED / "schema.json"] = json.dumps(Config.model_json_schema(), indent=1) + "\n"
    classes = {name: kind for name, kind, _ in sections()}
    found[ROOT / "docs" / "parameters.md"] = page(classes, _defaults, _yaml, estimators())
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
