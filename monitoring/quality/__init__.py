"""Measured quality: captures joined with ground truth."""
