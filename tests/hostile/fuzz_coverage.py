"""Coverage-guided fuzzing of the parsers, where atheris is installed (``pip install atheris``).

``python -m tests.hostile.fuzz_coverage NAME -max_total_time=60``; libFuzzer's own options follow
the name. No test run includes it: the seeded fuzzers need no extra package and are repeatable.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["emdist", "yaml", "json", "safetensors"]):
    from tests.hostile.parsers import OF_BYTES, OF_TEXT, met


def main() -> None:
    """One parser, until libFuzzer ends it."""
    name = sys.argv.pop(1)

    def once(data: bytes) -> None:
        if name in OF_BYTES:
            met(*OF_BYTES[name], data)
        else:
            met(*OF_TEXT[name], data.decode("utf-8", "surrogateescape"))

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
