"""Sections of the configuration about data: where rows are, how to read them, what to ingest."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

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

    @property
    def block_bytes(self) -> int | None:
        """The decoded bytes of a block, or None for the default."""
        return None if self.block_size is None else parse_bytes(self.block_size)

    def reading(self) -> dict[str, Any]:
        """Return only these settings, as they are stored with a model."""
        return {name: getattr(self, name) for name in ReadingSection.model_fields}


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
