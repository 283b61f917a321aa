"""What every part of Dropsort agrees on: keys, outcomes, reason codes, metric names, defaults, file names, errors.

Standard library only, and nothing else of ours: this package is part of both function archives. Nothing in it is written a second
time anywhere; the template's copies of these values are held equal by tests.
"""
