"""How a run is shown: live on a terminal, line by line elsewhere, or as JSON lines."""
