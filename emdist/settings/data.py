"""Sections of the configuration about data: where rows are, how to read them, what to ingest."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from emdist.inputs.layout import Layout, is_name, layout
from emdist.inputs.layout_texts import corrected
from emdist.inputs.validation import parse_bytes, size
from emdist.settings.section import Secrets, Section
from emdist.store.places.location import Location
from emdist.wording import worded

#: The value of ``select_rows`` for the rows that the labels at labels.path do not have yet.
NEW_ROWS = "new"
#: The settings that say how rows are made of variables with named dimensions.
LAYOUT = ("variables", "samples", "features", "select", "where")
#: The settings that say which rows follow one another in time, each in another way.
SEQUENCES = ("sequences", "lengths", "time")


class _LayoutKeys(Section):
    """Base class of sections with the keys of a layout: checks how they are written."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        for name in ("variables", "samples", "features", "where"):
            forms = schema["properties"][name]["anyOf"]
            (several,) = (one for one in forms if one.get("type") == "array")
            forms.append(several["items"])
        return schema

    @field_validator(*LAYOUT, mode="before", check_fields=False)
    @classmethod
    def _one_is_a_list(cls, value: Any, info: ValidationInfo) -> Any:
        """Return a single name, or condition, as a list of one."""
        name = info.field_name or ""
        if (told := corrected(name, value)) is not None:
            raise PydanticCustomError("written", "{told}", {"told": worded(told)})
        single = dict if name == "where" else str
        return [value] if name != "select" and isinstance(value, single) else value


class ReadingSection(_LayoutKeys):
    """This section says how rows are read, wherever they are stored."""

    place = "data"

    #: The settings that decide which rows count, and so what the labels are.
    POLICIES: ClassVar[tuple[str, ...]] = (
        "missing_chunks",
        "corrupt_chunks",
        "non_finite",
        "decode",
    )

    block_size: Annotated[str, AfterValidator(size)] | None = None
    missing_chunks: Literal["raise", "drop", "fill"] = "raise"
    corrupt_chunks: Literal["raise", "drop"] = "raise"
    non_finite: Literal["raise", "drop", "missing"] = "raise"
    decode: Literal["cf", "none"] = "cf"
    variables: list[str] | None = None
    samples: list[str] | None = None
    features: list[str] | None = None
    select: dict[str, Any] | None = None
    where: list[dict[str, Any]] | None = None
    time: str | None = None

    @property
    def layout(self) -> Layout:
        """How rows are made of variables with named dimensions."""
        return layout(
            self.variables, self.samples, self.features, self.select, self.where, self.time
        )

    @property
    def block_bytes(self) -> int | None:
        """The decoded bytes of a block, or None for the default."""
        return None if self.block_size is None else parse_bytes(self.block_size)

    def reading(self) -> dict[str, Any]:
        """Return only these settings, as they are stored with a model."""
        found = {name: getattr(self, name) for name in ReadingSection.model_fields}
        return without_layout(found)


def without_layout(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings, as older versions store them, if the layout says nothing."""
    return {
        name: value
        for name, value in values.items()
        if name not in (*LAYOUT, *SEQUENCES) or value is not None
    }


class PlaceSection(Section):
    """This section says where rows are stored."""

    place = "data"

    path: str
    array: str = ""
    weights: str | None = None
    sequences: str | None = None
    lengths: list[int] | str | None = None
    storage_options: Secrets = Field(default_factory=dict, repr=False)


def _rows(text: str) -> str:
    """Return the rows as a slice ``first:last``, or ``new``; ValueError for anything else."""
    found = re.fullmatch(r"\s*([+-]?\d*)\s*:\s*([+-]?\d*)\s*", text)
    if text.strip() == NEW_ROWS or found is None:
        if text.strip() != NEW_ROWS:
            raise ValueError(
                f"expected rows such as '500000:' or ':500000', or 'new', got {text[:40]!r}"
            )
        return NEW_ROWS
    return f"{found[1]}:{found[2]}"


#: Rows as a slice, or `NEW_ROWS`.
Rows = Annotated[str, AfterValidator(_rows)]


class DataSection(ReadingSection, PlaceSection):
    """This section says which data are clustered, and how they are read."""

    select_rows: Rows | None = None

    @property
    def names_weights(self) -> bool:
        """Whether `weights` names a variable beside those of the data."""
        return self.weights is not None and not self.layout.trivial and is_name(self.weights)

    @property
    def in_sequences(self) -> list[str]:
        """The settings of `SEQUENCES` that say something."""
        return [name for name in SEQUENCES if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _sequences_in_one_way(self) -> Self:
        if len(told := self.in_sequences) > 1:
            raise ValueError(
                f"{told[0]} and {told[1]} both say which rows make up a sequence; give only one."
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the part that decides the result of a fit."""
        data = self.model_dump(exclude={"storage_options"})
        # An absolute path, so that a run is found again from another working directory.
        data["path"] = str(Location(self.path))
        if self.weights is not None and not self.names_weights:
            data["weights"] = str(Location(self.weights))
        for name in ("sequences", "lengths"):
            if isinstance(data[name], str):
                data[name] = str(Location(data[name]))
        # Left out by default, so that runs of versions without this setting are found again. What
        # it changes is in the data's fingerprint.
        if data["decode"] == "cf":
            del data["decode"]
        if data["select_rows"] is None:
            del data["select_rows"]
        return without_layout(data)


class NewDataSection(_LayoutKeys, PlaceSection):
    """This section says which data to label; they are read like the model's own by default."""

    place = "data"

    block_size: Annotated[str, AfterValidator(size)] | None = None
    missing_chunks: Literal["raise", "drop", "fill"] | None = None
    corrupt_chunks: Literal["raise", "drop"] | None = None
    non_finite: Literal["raise", "drop", "missing"] | None = None
    decode: Literal["cf", "none"] | None = None
    variables: list[str] | None = None
    samples: list[str] | None = None
    features: list[str] | None = None
    select: dict[str, Any] | None = None
    where: list[dict[str, Any]] | None = None
    time: str | None = None
    select_rows: Rows | None = None

    def read_as(self, reading: ReadingSection) -> DataSection:
        """Return the section with values of `reading` for all that it leaves open.

        A selection replaces that of the same dimension. An empty one stands for no selection.
        """
        own = self.model_dump(exclude_none=True)
        if self.select:
            own["select"] = {**(reading.select or {}), **self.select}
        return DataSection.model_validate(reading.model_dump() | own)


class IngestSection(Section):
    """This section says from which files to make the data if ``data.path`` does not exist yet."""

    place = "ingest"

    source: str
    columns: list[str] | None = None
    weight_column: str | None = None
    dtype: str = "auto"
    rows_per_chunk: int | None = Field(None, ge=1)
