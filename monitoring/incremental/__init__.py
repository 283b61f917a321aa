"""One run: what is new in a source, read and added to the stored aggregates, completely or not at all."""
