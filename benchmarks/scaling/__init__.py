"""The cost of an iteration on clusters of any size: measured constants, formulas, a simulation.

``python -m benchmarks.scaling --calibrate --check --predict --write-docs docs/scaling.md``
"""
