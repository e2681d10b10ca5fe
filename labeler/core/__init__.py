"""The pure core: events, conversations, gestures and derivation. It reads no clock, no file and no environment."""
