"""Programs that break things on purpose, and count what is left."""
