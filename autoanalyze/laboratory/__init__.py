"""Experiments: sweeps of many runs, what is measured of them, and how their results are reported."""
