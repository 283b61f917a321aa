"""The network, its training, and the folder that is left of it."""
