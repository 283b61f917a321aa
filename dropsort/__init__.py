"""Dropsort: upload images to an S3 bucket, read their classification from its output prefixes."""

__version__ = "0.1.0"
