"""The operator's side: what people write (api), what follows from it (plan)."""
