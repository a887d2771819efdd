"""Whether memory holds what is to be drawn."""

from __future__ import annotations

from emdist.engines.budget import available_memory
from emdist.errors import ConfigError


def check_draws(n: int, d: int, name: str) -> None:
    """ConfigError, of the parameter `name`, if memory cannot hold `n` draws of `d` features."""
    # At worst three of an array of the draws: a component's noise, scaled and moved; or the parts,
    # joined and moved. Besides, the label of each, twice.
    each, free = 8 * (3 * d + 2), available_memory()
    if n * each > free:
        raise ConfigError(
            f"{name}={n:,}: so many draws of {d} feature(s) need about {n * each / 2**30:,.1f} "
            f"GiB, and this machine has free about {free / 2**30:,.1f} GiB. Draw at most "
            f"{free // each:,} at a time."
        )
