"""What is known about an hour of captures, as numbers that add up exactly in any order."""
