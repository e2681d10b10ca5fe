"""trl's own trainers on a fresh export. They need torch, so they run in an environment of their own:
scripts/test-trainers."""
