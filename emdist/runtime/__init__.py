"""The process at run time: version, optional packages, arithmetic, interrupts, threads, caches."""
