"""A window of captures compared with a reference: samples, tests, signals."""
