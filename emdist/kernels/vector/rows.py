"""Reads stored rows as vectors of float64, less the origin and rounded as scores need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from llvmlite import ir

from emdist.kernels.vector.lanes import I64, ROW_LANES, Code, size


@dataclass(frozen=True)
class RowReader:
    """Generates the code that reads rows.

    Attributes
    ----------
    code
        The code generator for vectors of float64.
    stored, middle, narrow
        Vector types of a row, of the origin, and of the numbers that rows are rounded to.
    x, origin
        (m, d) and (w,) arrays in the generated code; `w` is `row_width` of d.
    """

    code: Code
    stored: Any
    middle: Any
    narrow: Any
    x: Any
    origin: Any

    @classmethod
    def of(cls, context: Any, builder: Any, kinds: Any, x: Any, origin: Any) -> Self:
        """Make a reader of rows less the origin; `kinds` are the types of x, origin and scores."""
        stored, middle, narrow = (
            ir.VectorType(context.get_data_type(kind.dtype), ROW_LANES) for kind in kinds
        )
        code = Code(builder, ir.DoubleType(), ROW_LANES)
        return cls(code, stored, middle, narrow, x, origin)

    def begin(self, row: Any) -> Any:
        """Return where a row starts."""
        return self.code.times(row, size(self.code, self.x, 1))

    def vector(self, begin: Any, j: Any) -> Any:
        """Return features from j of the row that starts at `begin`; all of them belong to it."""
        return self._rounded(self.code.load(self.code.at(self.x.data, begin, j), self.stored), j)

    def last(self, begin: Any, j: Any) -> Any:
        """Return the same if the row may end in the vector: the next row's values become 0.

        Those values may be NaN, so that a product with 0 would not do.
        """
        b, code = self.code.builder, self.code
        lanes = ir.Constant(ir.VectorType(I64, ROW_LANES), list(range(ROW_LANES)))
        own = b.icmp_signed("<", lanes, code.splat(b.sub(size(code, self.x, 1), j)))
        value = code.load(code.at(self.x.data, begin, j), self.stored)
        value = b.select(own, value, ir.Constant(self.stored, [0.0] * ROW_LANES))
        return self._rounded(value, j)

    def _rounded(self, value: Any, j: Any) -> Any:
        """Subtract the origin, round to the type of the scores, and widen to float64."""
        b, wide = self.code.builder, self.code.type
        origin = self.code.load(self.code.at(self.origin.data, j), self.middle)
        value = value if value.type == self.middle else b.fpext(value, self.middle)
        value = b.fsub(value, origin)
        value = value if value.type == self.narrow else b.fptrunc(value, self.narrow)
        return value if value.type == wide else b.fpext(value, wide)
