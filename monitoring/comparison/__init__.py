"""A window of captures held against a reference: samples, tests, signals."""
