"""The review page: people decide what the model could not."""
