"""Requests to AWS as data: built, validated against botocore's models, sent; and what a template resolves to."""
