"""One run of the monitor: what is new, read and added to the state, whole or not at all."""
