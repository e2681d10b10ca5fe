"""The API: other front ends tell here what their annotators did, under the laws of the page."""

from __future__ import annotations

from labeler.api.front import PREFIX, Api, Limiter

__all__ = ["PREFIX", "Api", "Limiter"]
