"""Images → dataset → model → evaluation → registry; `inference` is the code of the endpoint."""
