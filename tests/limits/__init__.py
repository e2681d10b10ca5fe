"""How much, how long and how often."""
