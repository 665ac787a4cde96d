"""Statistics as pure functions on arrays and sketches."""
