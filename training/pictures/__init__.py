"""Where pictures come from, and which are the same."""
