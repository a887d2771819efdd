"""The Python process: versions, optional packages, arithmetic, interrupts, threads, caches."""
