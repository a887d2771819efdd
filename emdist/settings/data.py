"""Sections of the configuration about data: where rows are, how to read them, what to ingest."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from emdist.inputs.layout import Layout, layout
from emdist.inputs.validation import parse_bytes, size
from emdist.settings.section import Secrets, Section


class ReadingSection(Section):
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

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, values: Any) -> Any:
        return layout_values(values)

    @property
    def layout(self) -> Layout:
        """How rows are made of variables with named dimensions."""
        return layout(self.variables, self.samples, self.features, self.select, self.where)

    @property
    def block_bytes(self) -> int | None:
        """The decoded bytes of a block, or None for the default."""
        return None if self.block_size is None else parse_bytes(self.block_size)

    def reading(self) -> dict[str, Any]:
        """Return only these settings, as they are stored with a model."""
        found = {name: getattr(self, name) for name in ReadingSection.model_fields}
        return without_layout(found)


#: The settings that say how rows are made of variables with named dimensions.
LAYOUT = ("variables", "samples", "features", "select", "where")


def without_layout(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings, as older versions store them, if the layout says nothing."""
    return {
        name: value for name, value in values.items() if name not in LAYOUT or value is not None
    }


def layout_values(values: Any) -> Any:
    """Return a section in which a single name, or condition, is a list of one."""
    if not isinstance(values, dict):
        return values
    found = dict(values)
    for name in ("variables", "samples", "features"):
        if isinstance(found.get(name), str):
            found[name] = [found[name]]
    if isinstance(found.get("where"), dict):
        found["where"] = [found["where"]]
    return found


class PlaceSection(Section):
    """This section says where rows are stored."""

    place = "data"

    path: str
    array: str = ""
    weights: str | None = None
    storage_options: Secrets = Field(default_factory=dict, repr=False)


class DataSection(ReadingSection, PlaceSection):
    """This section says which data are clustered, and how they are read."""


class NewDataSection(PlaceSection):
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

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, values: Any) -> Any:
        return layout_values(values)

    def read_as(self, reading: ReadingSection) -> DataSection:
        """Return the section with values of `reading` for all that it leaves open."""
        own = self.model_dump(exclude_none=True)
        return DataSection.model_validate(reading.model_dump() | own)


class IngestSection(Section):
    """This section says from which files to make the data if ``data.path`` does not exist yet."""

    place = "ingest"

    source: str
    columns: list[str] | None = None
    weight_column: str | None = None
    dtype: str = "auto"
    rows_per_chunk: int | None = Field(None, ge=1)
