"""Logs are where those of the store's own tests are: here and there, one kind of database after the other."""

from __future__ import annotations

from tests.store.conftest import Place, other_place, place, store

__all__ = ["Place", "other_place", "place", "store"]
