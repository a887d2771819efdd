"""Predict the cost of an iteration on clusters of any size: calibration, formulas, simulation.

``python -m benchmarks.scaling --calibrate --check --predict --write-docs docs/scaling.md``
"""
