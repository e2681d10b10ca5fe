"""Models that answer: one client over local, OpenAI-compatible and Hugging Face servers."""

from labeler.models.client import Answer, ChatModel, Chunk, Sampling
from labeler.models.opening import open_models

__all__ = ["Answer", "ChatModel", "Chunk", "Sampling", "open_models"]
