"""The parts of the HTML pages: numbers, charts, tables, pictures."""
