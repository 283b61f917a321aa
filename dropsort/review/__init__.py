"""The review page: people decide what the model could not."""

# Orders of the images on it; the first one is the default.
ORDERS = ("uncertain", "unfamiliar", "newest", "random", "audit", "similar")
