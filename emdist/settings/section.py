"""`Section`: the frozen base class of the configuration's sections, with checks of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError

from emdist.errors import ConfigError
from emdist.inputs.expected import wrong_kind
from emdist.inputs.plugins import nearest, plugins
from emdist.inputs.validation import explain
from emdist.inputs.written import as_written
from emdist.parameters.configuration import CONFIGURATION
from emdist.parameters.entry import Parameter


def one_of(package: str, constant: str, extra: Sequence[str] = ()) -> Any:
    """Return a check for a field: its value must name a plug-in of `package`, or one of `extra`."""

    def choices() -> list[str]:
        return [*extra, *plugins(package, constant)]

    def check(name: str) -> str:
        known = choices()
        if name not in known:
            raise PydanticCustomError(
                "unknown_name",
                f"{name!r} is not known{nearest(name, known)}; choose one of "
                f"{', '.join(sorted(known))}",
            )
        return name

    check.choices = choices  # type: ignore[attr-defined]
    return AfterValidator(check)


def _texts(options: Any) -> Any:
    """Return numbers and true or false as text, because object stores expect text."""
    if not isinstance(options, Mapping):
        return options
    return {
        key: str(value).lower() if isinstance(value, bool | int | float) else value
        for key, value in options.items()
    }


#: Settings of an object store. They may hold secrets and are never shown.
Secrets: TypeAlias = Annotated[dict[str, str], BeforeValidator(_texts)]


#: Context of a validation whose values are Python's, and not read from YAML.
PARAMETERS: Mapping[str, bool] = {"parameters": True}


def _expected_name(field: FieldInfo) -> str | None:
    """Return what is expected of a field that names a plug-in, or None for another field."""
    for one in field.metadata:
        choices = getattr(getattr(one, "func", None), "choices", None)
        if choices is not None:
            return f"expected one of {', '.join(sorted(choices()))}"
    return None


def _is_section(field: FieldInfo | None) -> bool:
    """Return whether a key has keys of its own, so that an empty value stands for defaults."""
    kind = getattr(field, "annotation", None)
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, BaseModel | dict)


def described(entry: Parameter, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema's description of a key, and its choices as an enum.

    The enum has every value that a configuration may have: also other names of choices, and null
    if that is the default. Prefect checks the parameters of a deployment against it.
    """
    found: dict[str, Any] = {"description": entry.sentences}
    if entry.choices and "enum" not in schema:
        empty = {"type": "null"} in schema.get("anyOf", ()) or schema.get("default", "") is None
        found["enum"] = [*entry.choices, *entry.other_names, *([None] if empty else [])]
    return found


#: Types that a section turns into text.
_AS_TEXT = ("string", "number", "boolean")


def widened(schema: dict[str, Any], field: FieldInfo) -> None:
    """Let the JSON schema of a key accept what `Section` accepts beside the type of its field.

    These are numbers, true and false for text, and nothing for an optional section.
    """
    texts = (True, [True], {"": True})
    if any(as_written(one, field.annotation) != one for one in texts):
        forms = [schema, *schema.get("anyOf", ())]
        inner = [one.get(key) for one in forms for key in ("items", "additionalProperties")]
        for one in [*forms, *inner]:
            if isinstance(one, dict) and one.get("type") == "string" and "enum" not in one:
                one["type"] = list(_AS_TEXT)
    own = {key: schema.pop(key) for key in ("type", "additionalProperties", "$ref")
           if _is_section(field) and not field.is_required() and key in schema}  # fmt: skip
    if own:
        schema["anyOf"] = [own, {"type": "null"}]


class Section(BaseModel):
    """A frozen part of the configuration, which refuses unknown keys.

    `emdist.parameters` says what its keys mean. Its JSON schema takes descriptions and choices from
    there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    #: The name that precedes its keys in a configuration.
    place: ClassVar[str] = ""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, found in schema.get("properties", {}).items():
            if (entry := CONFIGURATION.get(f"{cls.place}.{name}")) is not None:
                found.update(described(entry, found))
            widened(found, cls.model_fields[name])
        return schema

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, values: Any, info: ValidationInfo) -> Any:
        """Return values as they are written: text for names, and nothing for an empty section.

        YAML may read a name as a number or as true. In Python such a value is a mistake.
        """
        if not isinstance(values, Mapping):
            return values
        fields = {str(key): cls.model_fields.get(str(key)) for key in values}
        python = info.context is PARAMETERS
        return {
            key: value if (field := fields[str(key)]) is None or python
            else as_written(value, field.annotation, str(key))
            for key, value in values.items()
            if value is not None or not _is_section(fields[str(key)])
        }  # fmt: skip

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse booleans for numbers, and numbers for booleans."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, str) and any(isinstance(m, BeforeValidator) for m in field.metadata):
            return value  # an abbreviation such as 2..16, which the field expands
        # Numbers written as text come only from YAML, where 1e-3 is text.
        told = wrong_kind(field.annotation, value, text=info.context is not PARAMETERS)
        if told == "expected text":
            told = _expected_name(field) or told
        if told is not None:
            raise PydanticCustomError("wrong_kind", "{told}", {"told": told})
        return value


T = TypeVar("T", bound=Section)


def make_section(
    cls: type[T],
    values: Mapping[str, Any],
    where: str = "the parameters",
    names: Mapping[str, str] | None = None,
    context: Mapping[str, bool] | None = None,
) -> T:
    """Return one section made from `values`; raise ConfigError if they are not valid.

    Parameters
    ----------
    cls
        The class of the section.
    values
        The values by the section's keys.
    where
        Where the values come from, for the error.
    names
        What the user calls a key, if that differs from the section's own name.
    context
        `PARAMETERS` if the values are those of Python.
    """
    try:
        return cls.model_validate(dict(values), context=context)
    except ValidationError as error:
        raise ConfigError(explain(error, cls, where, names or {})) from None
