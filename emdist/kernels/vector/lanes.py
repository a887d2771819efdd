"""Instructions that the compiler does not find by itself: whole vectors of rows in registers.

A **panel** holds a few vectors of rows, statistic by statistic, so that a row is a lane: a score
is then a multiply-add of lanes, and the best of many components a comparison of lanes, without
any step across them. Each function here becomes a few lines of LLVM's intermediate code within a
compiled kernel; on a machine of narrower vectors LLVM splits them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import factorial, log
from typing import Any, cast

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
#: More digits than a float64 has: the part of it that one leaves out counts.
_LOG_2 = Decimal("0.6931471805599453094172321214581766")
_FUSED = ("contract",)


def _has_512_bits() -> bool:
    named = config.CPU_FEATURES
    if named is not None:
        return "+avx512f" in named
    return bool(binding.get_host_cpu_features().get("avx512f", False))


_WIDE = _has_512_bits()
#: Bytes of a vector, vectors of a panel, and components whose scores are in registers at once:
#: 24 accumulators of 32 registers, or 12 of 16.
_BYTES, VECTORS = (64, 4) if _WIDE else (32, 2)
COMPONENTS = 6
#: Bytes of a line of the cache, which no vector is longer than.
CACHE_LINE = 64
#: Statistics that are gathered at once, and for how many components: sums of `STATISTICS` are a
#: vector of float64.
STATISTICS, GATHERED = (8, 3) if _WIDE else (4, 2)


#: Numbers of a row that are added at once.
ROW_LANES = 8


def row_width(d: int) -> int:
    """Of rows of `d` features in whole vectors."""
    return -(-d // ROW_LANES) * ROW_LANES


def lanes(itemsize: int) -> int:
    """Numbers of a vector."""
    return _BYTES // itemsize


def panel_rows(itemsize: int) -> int:
    """Rows of a panel of numbers of `itemsize` bytes."""
    return VECTORS * lanes(itemsize)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of array types that writes code, to be called from compiled kernels."""
    return cast(Callable[..., Any], intrinsic(function))


@dataclass(frozen=True)
class Code:
    """Writes code for vectors of one type of number."""

    builder: Any
    number: Any
    lanes: int

    @property
    def type(self) -> Any:
        return ir.VectorType(self.number, self.lanes)

    @property
    def integers(self) -> Any:
        bits = 32 if isinstance(self.number, ir.FloatType) else 64
        return ir.VectorType(ir.IntType(bits), self.lanes)

    @property
    def labels(self) -> Any:
        return ir.VectorType(I32, self.lanes)

    def at(self, base: Any, *index: Any) -> Any:
        """Address of an element: of a sum of indices."""
        total = index[0]
        for more in index[1:]:
            total = self.builder.add(total, more)
        return self.builder.gep(base, [total])

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b)

    def load(self, address: Any, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        value = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        value.align = 4  # Panels start where arrays start.
        return value

    def store(self, value: Any, address: Any) -> None:
        stored = self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()))
        stored.align = 4

    def constant(self, value: float, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        return ir.Constant(kind, [value] * self.lanes)

    def splat(self, value: Any) -> Any:
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(nothing, value, I32(0))
        first = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, nothing, first)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """``a b + c``, rounded once where the machine can."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """``a b + c``, rounded once on any machine, for vectors of float64."""
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fma.v{self.lanes}f64"
        known = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(known, [a, b, c])

    def above(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered(">", a, b)

    def variable(self, value: Any) -> Any:
        held = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, held)
        return held

    def parts(self, vector: Any, size: int) -> list[Any]:
        """The vector cut into pieces of `size` lanes."""
        return [
            self._picked(vector, vector, range(start, start + size))
            for start in range(0, vector.type.count, size)
        ]

    def _picked(self, a: Any, b: Any, index: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(I32, len(index)), list(index))
        return self.builder.shuffle_vector(a, b, mask)

    def _halved(self, vector: Any, size: int) -> Any:
        """Halves of a vector added, in float64, until `size` lanes are left."""
        wide = ir.VectorType(ir.DoubleType(), vector.type.count)
        if vector.type != wide:
            vector = self.builder.fpext(vector, wide)
        while vector.type.count > size:
            a, b = self.parts(vector, vector.type.count // 2)
            vector = self.builder.fadd(a, b)
        return vector

    def total(self, vector: Any) -> Any:
        """Sum over the lanes, in float64."""
        return self.builder.extract_element(self._halved(vector, 1), I32(0))

    def totals(self, vectors: list[Any]) -> Any:
        """Sums over the lanes of each vector, as one vector of float64: neighbours are added."""
        size = len(vectors)
        left = [self._halved(vector, size) for vector in vectors]
        while len(left) > 1:
            left = [
                self.builder.fadd(
                    self._picked(a, b, range(0, 2 * size, 2)),
                    self._picked(a, b, range(1, 2 * size, 2)),
                )
                for a, b in zip(left[::2], left[1::2], strict=True)
            ]
        return left[0]

    def every(self, vectors: list[Any], step: int, first: int) -> Any:
        """Numbers `first`, first + step, ... of vectors that are `step` in number, as one."""
        found = vectors[0]
        for n, vector in enumerate(vectors):
            # Lanes that come from this vector; those before are in place, those behind to come.
            at = [first + step * i - n * self.lanes for i in range(self.lanes)]
            index = [self.lanes + a if 0 <= a < self.lanes else i for i, a in enumerate(at)]
            found = self._picked(found, vector, index)
        return found

    def turned(self, rows: list[Any]) -> list[Any]:
        """A square of vectors, rows for columns: halves change places, then quarters, ..."""
        step = len(rows) // 2
        while step:
            # Lanes of `a` where the bit of `step` is clear come from it, the others from b.
            low = [i if not i & step else len(rows) + i - step for i in range(len(rows))]
            high = [i + step if not i & step else len(rows) + i for i in range(len(rows))]
            for i in range(len(rows)):
                if not i & step:
                    a, b = rows[i], rows[i + step]
                    rows[i], rows[i + step] = self._picked(a, b, low), self._picked(a, b, high)
            step //= 2
        return rows

    def exp(self, x: Any) -> Any:
        """exp(x) for x <= 0 that is no subnormal, to 2 units in the last place; NaN stays NaN.

        2^n times the Taylor series about the nearest multiple n of log 2.
        """
        single = isinstance(self.number, ir.FloatType)
        bits, bias, degree = (23, 127, 7) if single else (52, 1023, 13)
        # Adding this leaves the nearest integer in the last bits of the mantissa.
        shift = 1.5 * 2.0**bits
        moved = self.fused(x, self.constant(1 / log(2)), self.constant(shift))
        n = self.builder.fsub(moved, self.constant(shift))
        # log 2 in two parts, of which the first times n is exact.
        fine = 2.0 ** (9 if single else 32)
        high = round(log(2) * fine) / fine
        r = self.fused(n, self.constant(-high), x)
        r = self.fused(n, self.constant(-float(_LOG_2 - Decimal(high))), r)
        value = self.constant(1 / factorial(degree))
        for i in reversed(range(degree)):
            value = self.fused(value, r, self.constant(1 / factorial(i)))
        kind = self.integers
        exponent = self.builder.shl(
            self.builder.add(self.builder.bitcast(moved, kind), self.constant(bias, kind)),
            self.constant(bits, kind),
        )
        return self.builder.fmul(value, self.builder.bitcast(exponent, self.type))


def arrays(context: Any, builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Arguments as the code sees them: arrays with `data` and `shape`, numbers as they are."""
    return [
        context.make_array(kind)(context, builder, value)
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(kinds, values, strict=True)
    ]


def code_for(context: Any, builder: Any, kind: Any) -> Code:
    """What writes code for the numbers of an array type."""
    number = context.get_data_type(kind.dtype)
    return Code(builder, number, lanes(kind.dtype.bitwidth // 8))


def contiguous(*kinds: Any) -> None:
    """Refuse array types that vectors cannot be loaded from."""
    for kind in kinds:
        if isinstance(kind, types.Array) and kind.layout != "C":
            raise TypingError(f"Vectors are loaded from contiguous arrays, and this is {kind}.")


@inline
def borrowed(typing: Any, array: Any) -> Any:
    """The array without a count of who refers to it: its owner must outlive the call.

    Each slice of an array counts, and counting is atomic: dozens of times a panel, it takes as
    long as scores do.
    """
    signature = array(array)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = context.make_array(array)(context, builder, args[0])
        for owner in ("meminfo", "parent"):
            setattr(found, owner, ir.Constant(getattr(found, owner).type, None))
        return found._getvalue()

    return signature, generate


def size(code: Code, array: Any, axis: int) -> Any:
    """Length of an array."""
    return code.builder.extract_value(array.shape, axis)
