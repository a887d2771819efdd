"""Generates vector instructions that the compiler does not find by itself, as LLVM code.

A **panel** holds a few vectors of rows, one statistic after another, so that each row has its own
lane of the vectors. A score is then a multiply-add of lanes, and the best of many components is a
comparison of lanes, so no step combines different lanes. Each function here becomes a few lines of
LLVM's intermediate code within a compiled kernel. On a machine with narrower vectors, LLVM splits
them.
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
#: log 2 with more digits than a float64 has, because the part beyond float64 is used as well.
_LOG_2 = Decimal("0.6931471805599453094172321214581766")
_FUSED = ("contract",)


def _has_512_bits() -> bool:
    named = config.CPU_FEATURES
    if named is not None:
        return "+avx512f" in named
    return bool(binding.get_host_cpu_features().get("avx512f", False))


_WIDE = _has_512_bits()
#: Bytes of a vector, vectors in a panel, and components whose scores are in registers at once.
#: That makes 24 accumulators in 32 registers, or 12 in 16.
_BYTES, VECTORS = (64, 4) if _WIDE else (32, 2)
COMPONENTS = 6
#: Bytes of a cache line. No vector is longer.
CACHE_LINE = 64
#: How many statistics are gathered at once, and for how many components. The sums of `STATISTICS`
#: fill one vector of float64.
STATISTICS, GATHERED = (8, 3) if _WIDE else (4, 2)


#: How many numbers of a row are added at once.
ROW_LANES = 8


def row_width(d: int) -> int:
    """Return the width of rows of `d` features, padded to whole vectors."""
    return -(-d // ROW_LANES) * ROW_LANES


def lanes(itemsize: int) -> int:
    """Return how many numbers a vector holds."""
    return _BYTES // itemsize


def panel_rows(itemsize: int) -> int:
    """Return how many rows a panel has, for numbers of `itemsize` bytes."""
    return VECTORS * lanes(itemsize)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that generates code from array types callable from compiled kernels."""
    return cast(Callable[..., Any], intrinsic(function))


@dataclass(frozen=True)
class Code:
    """Generates code for vectors of one type of number."""

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
        """Return the address of the element at the sum of the indices."""
        total = index[0]
        for more in index[1:]:
            total = self.builder.add(total, more)
        return self.builder.gep(base, [total])

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b)

    def load(self, address: Any, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        value = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        value.align = 4  # Panels start where arrays start, so no larger alignment is certain.
        return value

    def store(self, value: Any, address: Any) -> None:
        stored = self.builder.store(value, self.builder.bitcast(address, value.type.as_pointer()))
        stored.align = 4

    def constant(self, value: float, kind: Any = None) -> Any:
        kind = self.type if kind is None else kind
        return ir.Constant(kind, [value] * self.lanes)

    def splat(self, value: Any) -> Any:
        """Return a vector with `value` in each lane."""
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(nothing, value, I32(0))
        first = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, nothing, first)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """Return ``a b + c``, rounded once if the machine can do that."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return ``a b + c``, rounded once on any machine, for vectors of float64."""
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fma.v{self.lanes}f64"
        known = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(known, [a, b, c])

    def absolute(self, a: Any) -> Any:
        """Return ``|a|``: all bits but the sign."""
        bits = 32 if isinstance(self.number, ir.FloatType) else 64
        kind = self.integers
        rest = self.constant((1 << (bits - 1)) - 1, kind)
        return self.builder.bitcast(
            self.builder.and_(self.builder.bitcast(a, kind), rest), self.type
        )

    def above(self, a: Any, b: Any) -> Any:
        """Return lanes in which a > b; False where either is NaN."""
        return self.builder.fcmp_ordered(">", a, b)

    def variable(self, value: Any) -> Any:
        """Return a stack variable that holds `value`; LLVM can keep it in a register."""
        held = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, held)
        return held

    def parts(self, vector: Any, size: int) -> list[Any]:
        """Cut the vector into pieces of `size` lanes."""
        return [
            self._picked(vector, vector, range(start, start + size))
            for start in range(0, vector.type.count, size)
        ]

    def _picked(self, a: Any, b: Any, index: Sequence[int]) -> Any:
        mask = ir.Constant(ir.VectorType(I32, len(index)), list(index))
        return self.builder.shuffle_vector(a, b, mask)

    def _halved(self, vector: Any, size: int) -> Any:
        """Add halves of a vector in float64 until `size` lanes are left."""
        wide = ir.VectorType(ir.DoubleType(), vector.type.count)
        if vector.type != wide:
            vector = self.builder.fpext(vector, wide)
        while vector.type.count > size:
            a, b = self.parts(vector, vector.type.count // 2)
            vector = self.builder.fadd(a, b)
        return vector

    def total(self, vector: Any) -> Any:
        """Return the sum over the lanes, in float64."""
        return self.builder.extract_element(self._halved(vector, 1), I32(0))

    def totals(self, vectors: list[Any]) -> Any:
        """Return the sum over the lanes of each vector, all in one float64 vector.

        Halves of each vector are added first, and then pairs of neighbouring lanes.
        """
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
        """Return the lanes `first`, first + step, ... of `step` vectors as one vector.

        Lanes are counted from the first vector through to the last.
        """
        found = vectors[0]
        for n, vector in enumerate(vectors):
            # `index` selects the lanes that come from this vector. Earlier lanes are already in
            # place, and later vectors fill the others.
            at = [first + step * i - n * self.lanes for i in range(self.lanes)]
            index = [self.lanes + a if 0 <= a < self.lanes else i for i, a in enumerate(at)]
            found = self._picked(found, vector, index)
        return found

    def transposed(self, rows: list[Any]) -> list[Any]:
        """Transpose a square of vectors: exchange halves, then quarters, and so on."""
        step = len(rows) // 2
        while step:
            # Lanes where the bit `step` is clear come from `a`, the others from `b`.
            low = [i if not i & step else len(rows) + i - step for i in range(len(rows))]
            high = [i + step if not i & step else len(rows) + i for i in range(len(rows))]
            for i in range(len(rows)):
                if not i & step:
                    a, b = rows[i], rows[i + step]
                    rows[i], rows[i + step] = self._picked(a, b, low), self._picked(a, b, high)
            step //= 2
        return rows

    def exp(self, x: Any) -> Any:
        """Return exp(x) for x <= 0, with an error of at most 2 units in the last place.

        This does not hold if exp(x) is subnormal. NaN stays NaN. The value is 2^n times the
        Taylor series about the nearest multiple n of log 2.
        """
        single = isinstance(self.number, ir.FloatType)
        bits, bias, degree = (23, 127, 7) if single else (52, 1023, 13)
        # Adding this constant puts the nearest integer into the last bits of the mantissa.
        shift = 1.5 * 2.0**bits
        moved = self.fused(x, self.constant(1 / log(2)), self.constant(shift))
        n = self.builder.fsub(moved, self.constant(shift))
        # log 2 in two parts; the product of n and the first part is exact.
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
    """Return arguments as the code uses them: arrays with `data` and `shape`, numbers unchanged."""
    return [
        context.make_array(kind)(context, builder, value)
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(kinds, values, strict=True)
    ]


def code_for(context: Any, builder: Any, kind: Any) -> Code:
    """Return the code generator for the numbers of an array type."""
    number = context.get_data_type(kind.dtype)
    return Code(builder, number, lanes(kind.dtype.bitwidth // 8))


def contiguous(*kinds: Any) -> None:
    """Raise TypingError for array types from which vectors cannot be loaded."""
    for kind in kinds:
        if isinstance(kind, types.Array) and kind.layout != "C":
            raise TypingError(f"Vectors are loaded from contiguous arrays, and this is {kind}.")


@inline
def borrowed(typing: Any, array: Any) -> Any:
    """Return the array without a reference count: its owner must outlive the call.

    Each slice of an array counts references, and counting is atomic. Dozens of slices in every
    panel would take as long as the scores do.
    """
    signature = array(array)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = context.make_array(array)(context, builder, args[0])
        for owner in ("meminfo", "parent"):
            setattr(found, owner, ir.Constant(getattr(found, owner).type, None))
        return found._getvalue()

    return signature, generate


def size(code: Code, array: Any, axis: int) -> Any:
    """Return the length of an array along an axis."""
    return code.builder.extract_value(array.shape, axis)
