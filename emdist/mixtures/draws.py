"""A check that draws from a mixture fit into memory."""

from __future__ import annotations

from emdist.errors import ConfigError
from emdist.runtime.memory import available_memory


def check_draws(n: int, d: int, name: str) -> None:
    """Raise a ConfigError about the parameter `name` if `n` draws do not fit into memory.

    Each draw has `d` features.
    """
    # At worst, three arrays as large as the draws exist at once: the noise of a component, scaled
    # and moved; or the parts of a product, joined and moved. Labels of draws exist twice.
    each, free = 8 * (3 * d + 2), available_memory()
    if n * each > free:
        raise ConfigError(
            f"{name}={n:,}: this many draws of {d} feature(s) need about "
            f"{n * each / 2**30:,.1f} GiB, but only about {free / 2**30:,.1f} GiB is free on "
            f"this machine. Draw at most {free // each:,} at a time."
        )
