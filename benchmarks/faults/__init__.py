"""Faults in the embedded service, one kind after another: real ones, from which every upload must come out with one result."""
