"""Packages the functions, and deploys and deletes the stack."""
