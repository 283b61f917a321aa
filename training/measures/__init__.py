"""How good a model is: numbers, plots, the page, and the reference that drift is held against."""
