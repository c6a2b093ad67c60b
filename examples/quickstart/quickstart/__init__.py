"""quickstart: A Flower / sklearn app."""
