"""The stages of a training run, in their order: fit, calibrate, export, evaluate. Each takes the results of those before it."""
