"""digits: A Flower / NumPy app."""
