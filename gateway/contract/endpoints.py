"""The calls the unified entry serves: one line each, with what differs between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "chat",
    "text",
    "responses",
    "messages",
    "count",
    "embeddings",
    "images",
    "speech",
    "transcript",
    "moderations",
    "rerank",
    "videos",
]
Protocol: TypeAlias = Literal["openai", "anthropic"]


_MODALITIES = {
    "embeddings": "embedding",
    "images": "image",
    "videos": "video",
    "speech": "audio",
    "transcript": "audio",
    "moderations": "moderation",
    "rerank": "rerank",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``protocol`` is what the upstream must speak. ``writes``: the model writes tokens, so output is held for.

    ``is_create``: doing it twice makes a second work that is paid twice, so an attempt whose end is not known is never
    followed by another one. ``is_free``: no money is held or charged. ``asks_usage``: a stream is asked for its usage.
    """

    path: str
    kind: Kind
    protocol: Protocol = "openai"
    writes: bool = False
    streams: bool = False
    asks_usage: bool = False
    takes_form: bool = False
    is_create: bool = False
    is_free: bool = False

    @property
    def modality(self) -> str:
        """The catalogue's word for what this endpoint is about."""
        return _MODALITIES.get(self.kind, "text")

    @property
    def is_task(self) -> bool:
        """Whether the call makes a picture or a video, which the task history keeps."""
        return self.kind in {"images", "videos"}

    @property
    def name(self) -> str:
        """The last words of the path, for people."""
        return self.path.removeprefix("/v1/")


_LIST = (
    Endpoint("/v1/chat/completions", "chat", writes=True, streams=True, asks_usage=True),
    Endpoint("/v1/completions", "text", writes=True, streams=True, asks_usage=True),
    Endpoint("/v1/responses", "responses", writes=True, streams=True),
    Endpoint("/v1/messages", "messages", "anthropic", writes=True, streams=True),
    Endpoint("/v1/messages/count_tokens", "count", "anthropic", is_free=True),
    Endpoint("/v1/embeddings", "embeddings"),
    Endpoint("/v1/moderations", "moderations"),
    Endpoint("/v1/rerank", "rerank"),
    Endpoint("/v1/images/generations", "images", streams=True, is_create=True),
    Endpoint("/v1/images/edits", "images", streams=True, takes_form=True, is_create=True),
    Endpoint("/v1/images/variations", "images", takes_form=True, is_create=True),
    Endpoint("/v1/videos", "videos", takes_form=True, is_create=True),
    Endpoint("/v1/audio/speech", "speech", streams=True, is_create=True),
    Endpoint("/v1/audio/transcriptions", "transcript", writes=True, streams=True, takes_form=True, is_create=True),
    Endpoint("/v1/audio/translations", "transcript", writes=True, takes_form=True, is_create=True),
)
ENDPOINTS: Mapping[str, Endpoint] = {one.path: one for one in _LIST}
CHAT = ENDPOINTS["/v1/chat/completions"]


def dialect_of(path: str) -> Protocol:
    """Whose error body a client of this address understands."""
    return "anthropic" if path.startswith("/v1/messages") else "openai"
