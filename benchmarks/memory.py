"""Measure the peak resident memory of this process, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def peak_memory() -> int:
    """Return the highest resident size that this process has had, in bytes, from the kernel."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM; this measurement needs Linux.")


def forget_peak() -> None:
    """Reset the peak to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
