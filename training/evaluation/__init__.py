"""How good a model is: predictions for images that it has not seen, the figures that follow, the reference of drift."""
