"""Capture files, read: lines, records, predictions, and batches of them as arrays."""
