"""Lines of capture files, and what stands in them."""
