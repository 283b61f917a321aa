"""What the monitor knows about an hour, as numbers that add up exactly in any order."""
