"""Forged, malformed and foreign requests to every door, by the thousand."""
