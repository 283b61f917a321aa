"""Comparisons, simulations, load tests and injected faults; `python -m benchmarks.NAME` prints the figures of each."""
