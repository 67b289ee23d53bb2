"""What well-known image and video models take, by the name their provider gives them: a start operators may change.

Taken from the providers' published references; where one is silent the field is left out, and so passes.
"""

from typing import Any

_GPT_IMAGE: dict[str, Any] = {
    "inputs": ["text", "image"],
    "references": {"min": 0, "max": 16},
    "parameters": {
        "n": {"type": "integer", "min": 1, "max": 10},
        "size": {"values": ["auto", "1024x1024", "1536x1024", "1024x1536"], "default": "auto"},
        "quality": {"values": ["auto", "low", "medium", "high"], "default": "auto"},
        "background": {"values": ["auto", "transparent", "opaque"]},
        "output_format": {"values": ["png", "jpeg", "webp"], "default": "png"},
        "output_compression": {"type": "integer", "min": 0, "max": 100},
        "moderation": {"values": ["auto", "low"]},
        "partial_images": {"type": "integer", "min": 0, "max": 3},
        "response_format": {"supported": False},
    },
}
_DALL_E_3: dict[str, Any] = {
    "inputs": ["text"],
    "references": {"min": 0, "max": 0},
    "parameters": {
        "n": {"type": "integer", "min": 1, "max": 1},
        "size": {"values": ["1024x1024", "1792x1024", "1024x1792"], "default": "1024x1024"},
        "quality": {"values": ["standard", "hd"], "default": "standard"},
        "style": {"values": ["vivid", "natural"]},
        "response_format": {"values": ["url", "b64_json"]},
    },
}
_SORA_SMALL = ["720x1280", "1280x720"]
_SORA: dict[str, Any] = {
    "inputs": ["text", "image"],
    "references": {"min": 0, "max": 1},
    "parameters": {
        "seconds": {"values": ["4", "8", "12"], "default": "4"},
        "size": {"values": _SORA_SMALL, "default": "720x1280"},
    },
}
_SORA_PRO: dict[str, Any] = {
    **_SORA,
    "parameters": {**_SORA["parameters"], "size": {"values": [*_SORA_SMALL, "1024x1792", "1792x1024"], "default": "720x1280"}},
}
KNOWN: dict[str, dict[str, Any]] = {
    "gpt-image-1": _GPT_IMAGE,
    "gpt-image-1-mini": _GPT_IMAGE,
    "gpt-image-1.5": _GPT_IMAGE,
    "dall-e-3": _DALL_E_3,
    "sora-2": _SORA,
    "sora-2-pro": _SORA_PRO,
}


def known_description(name: str) -> dict[str, Any]:
    """The description of a model by its provider's name; {} for one that is not known."""
    return KNOWN.get(name.rpartition("/")[2].lower(), {})
