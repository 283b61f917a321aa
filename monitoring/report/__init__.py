"""What a report shows, as data: `figures` computes it from aggregates, `images` reads the least certain inputs back."""
