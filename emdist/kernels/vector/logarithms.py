"""Logarithms of ratios without branches or calls, so that the compiler makes vectors of loops.

The series is that of fdlibm's ``log`` (Sun Microsystems 1993): with y = 2^n (1 + f), 1 + f between
sqrt(1/2) and sqrt(2), and s = f / (2 + f), ``log y = n log 2 + 2 s + tail(s)``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from emdist.kernels.jit import pasted
from emdist.kernels.vector.lanes import inline

#: The smallest and the largest normal float64: `split` needs a number between them.
SMALLEST, LARGEST = 2.0**-1022, 1.7976931348623157e308
LOG_2 = 0.6931471805599453
#: The bits of 1, and of sqrt(1/2). Their difference is added, so that the exponent's bits change
#: from n to n + 1 at sqrt(2) times a power of 2.
_ONE = 0x3FF0000000000000
_SHIFT = _ONE - 0x3FE6A09E667F3BCD
#: A float64 with these bits and a whole number in the last 52 is 2^52 plus that number.
_WHOLE = 0x4330000000000000
_BIAS = 2.0**52 + 1023.0


def _cast(source: Any, target: Any, kind: Any) -> Any:
    """Make the function that returns the bits of a number as another type of number."""

    @inline
    def cast(typing: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.bitcast(context.cast(builder, args[0], sig.args[0], source), kind)

        return target(value), generate

    return cast


_bits = _cast(types.float64, types.int64, ir.IntType(64))
_number = _cast(types.int64, types.float64, ir.DoubleType())


@pasted
def split(y: Any) -> Any:
    """Return n and f of a normal number y > 0, both as float64."""
    bits = _bits(y)
    n = (bits + _SHIFT) >> 52
    return _number(n | _WHOLE) - _BIAS, _number(bits - ((n - 1023) << 52)) - 1.0


@pasted
def tail(s: Any) -> Any:
    """Return ``log((1 + s) / (1 - s)) - 2 s`` for |s| <= 3 - 2 sqrt(2), to the last digit or so."""
    q = s * s
    total = 1.531383769920937332e-01 + q * 1.479819860511658591e-01
    total = 1.818357216161805012e-01 + q * total
    total = 2.222219843214978396e-01 + q * total
    total = 2.857142874366239149e-01 + q * total
    total = 3.999999999940941908e-01 + q * total
    total = 6.666666666666735130e-01 + q * total
    return s * q * total
