"""Makes steps from what a configuration, a command line or an estimator's parameter says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from emdist.errors import ConfigError
from emdist.inputs.plugins import nearest, plugins
from emdist.inputs.quoting import shown
from emdist.inputs.validation import checked_options
from emdist.prepare.base import PrepareStep

STEPS = "emdist.prepare"

#: Other spellings of names of steps.
_SPELLINGS = {"normalize": "normalise", "standardize": "standardise"}
_EXAMPLE = "[log1p, {normalise: l2}, standardise, {pca: {components: 8}}]"


def make_steps(values: Any, where: str = "prepare") -> tuple[PrepareStep, ...]:
    """Return the steps that `values` lists: names, mappings of a name to options, or objects.

    Parameters
    ----------
    values
        A list, or None for no steps. A mapping has one key, the name of the step. Its value is a
        mapping of options, or the value of the step's main option, as in ``{pca: 8}``. An object
        is a step, or has a method `_prepare_step` that returns one.
    where
        The name of the setting, for messages.

    Raises
    ------
    ConfigError
        If a step is unknown, or its options are wrong. The message says where.
    """
    if values is None:
        return ()
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        alone = f"[{values}]" if isinstance(values, str) else _EXAMPLE
        raise ConfigError(
            f"{where}: expected a list of steps, such as {alone}, got {shown(values)}."
        )
    made = tuple(_made(value, f"{where}[{i}]") for i, value in enumerate(values))
    mixing = ""
    for i, step in enumerate(made):
        if mixing and step.needs_variables:
            raise ConfigError(
                f"{where}[{i}].{step.name}: by variable cannot follow {mixing}, whose components "
                f"mix the variables. Put {step.name} before {mixing}, or leave out the option by."
            )
        mixing = mixing or (step.name if step.renames else "")
    return made


def _made(value: Any, where: str) -> PrepareStep:
    """Return one step."""
    if isinstance(value, PrepareStep):
        return value
    own = getattr(value, "_prepare_step", None)
    if own is not None and not isinstance(value, type):
        step: PrepareStep = own()
        return step
    if isinstance(value, str):
        return _of_options(value, {}, where)
    if isinstance(value, Mapping) and len(value) == 1:
        (name, options), *_ = value.items()
        return _of_options(str(name), options, where)
    raise ConfigError(
        f"{where}: expected the name of a step, or one name with its options as in {{pca: 8}}, "
        f"got {shown(value)}.{_meant(value)}"
    )


def _meant(value: Any) -> str:
    """Return advice on a value that is no step, or ""."""
    if isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], str):
        return f" Write {{{value[0]!r}: {value[1]!r}}}."
    cls = value if isinstance(value, type) else type(value)
    own = {"PCA", "StandardScaler", "Normalizer", "Log1p"}
    if cls.__name__ in own and hasattr(cls, "_prepare_step"):
        return f" Pass an object, as {cls.__name__}()."
    if cls.__name__ in own:
        return f" Use emdist.prepare.{cls.__name__}, which has the same parameters."
    return ""


def _of_options(name: str, options: Any, where: str) -> PrepareStep:
    """Return the step called `name` with `options`: a mapping, a value alone, or None."""
    known = plugins(STEPS, "step")
    name = _SPELLINGS.get(name, name)
    if name not in known:
        raise ConfigError(
            f"{where}: {name!r:.60} is not known{nearest(name, known)}; choose one of "
            f"{', '.join(sorted(known))}."
        )
    cls = known[name]
    if options is None:
        options = {}
    try:
        if not isinstance(options, Mapping):
            options = cls.options(options)
    except ConfigError as error:
        raise ConfigError(f"{where}.{name}: {error}") from None
    made: PrepareStep = checked_options(cls, options, f"{where}.{name}")
    return made


def steps_as_config(values: Any, where: str = "prepare") -> list[Any]:
    """Return the steps that `values` lists in the one form that a configuration stores."""
    return [step.config() for step in make_steps(values, where)]


def step_of_text(text: str) -> Any:
    """Return a step as a configuration has it, from a command line's ``NAME[=VALUE]``.

    VALUE is the value of the main option, as in ``pca=8``, or ``KEY:VALUE`` pairs with commas
    between them, as in ``pca=components:8,whiten:true``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        return name.strip()
    try:
        if ":" not in value:
            found = yaml.safe_load(f"[{value}]")
            return {name.strip(): found[0] if len(found) == 1 else found}
        pairs = [one.partition(":") for one in value.split(",")]
        return {name.strip(): {key.strip(): yaml.safe_load(one) for key, _, one in pairs}}
    except yaml.YAMLError:
        raise ConfigError(
            f"--prepare {text!r:.80}: expected a step, such as log1p, pca=8 or "
            "pca=components:8,whiten:true."
        ) from None
