"""Parses capture files: `reader` takes lines from `lines`, records from `schema` and `fast_path`, predictions from `outputs`."""
