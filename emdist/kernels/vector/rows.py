"""Rows as they are stored, read as vectors of float64: less the origin, rounded as for scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from llvmlite import ir

from emdist.kernels.vector.lanes import I64, ROW_LANES, Code, size


@dataclass(frozen=True)
class Rows:
    """Writes the code that reads rows.

    Attributes
    ----------
    code
        For vectors of float64.
    stored, middle, narrow
        Types of a vector of a row, of the origin, and of what rows are rounded to.
    x, origin
        (m, d) and (w,), as the code sees them; `w` is `row_width` of d.
    """

    code: Code
    stored: Any
    middle: Any
    narrow: Any
    x: Any
    origin: Any

    @classmethod
    def of(cls, context: Any, builder: Any, kinds: Any, x: Any, origin: Any) -> Self:
        """Rows and origin, whose array types and that of the scores are `kinds`."""
        stored, middle, narrow = (
            ir.VectorType(context.get_data_type(kind.dtype), ROW_LANES) for kind in kinds
        )
        code = Code(builder, ir.DoubleType(), ROW_LANES)
        return cls(code, stored, middle, narrow, x, origin)

    def begin(self, row: Any) -> Any:
        """Where a row starts."""
        return self.code.times(row, size(self.code, self.x, 1))

    def vector(self, begin: Any, j: Any) -> Any:
        """Features j and on of the row that starts at `begin`, all of them its own."""
        return self._rounded(self.code.load(self.code.at(self.x.data, begin, j), self.stored), j)

    def last(self, begin: Any, j: Any) -> Any:
        """The same where the row may end within: what follows is of the next, and may be NaN."""
        b, code = self.code.builder, self.code
        lanes = ir.Constant(ir.VectorType(I64, ROW_LANES), list(range(ROW_LANES)))
        own = b.icmp_signed("<", lanes, code.splat(b.sub(size(code, self.x, 1), j)))
        value = code.load(code.at(self.x.data, begin, j), self.stored)
        value = b.select(own, value, ir.Constant(self.stored, [0.0] * ROW_LANES))
        return self._rounded(value, j)

    def _rounded(self, value: Any, j: Any) -> Any:
        b, wide = self.code.builder, self.code.type
        origin = self.code.load(self.code.at(self.origin.data, j), self.middle)
        value = value if value.type == self.middle else b.fpext(value, self.middle)
        value = b.fsub(value, origin)
        value = value if value.type == self.narrow else b.fptrunc(value, self.narrow)
        return value if value.type == wide else b.fpext(value, wide)
