"""What can be said of a model from its name, and of a channel from its type number. Numbers differ between the products."""

from dataclasses import dataclass

from migrations_center.sources.schema import NEW_API

_MODALITIES = (
    ("rerank", ("rerank",)),
    ("moderation", ("moderation",)),
    ("embedding", ("embedding", "embed-", "bge-", "m3e")),
    ("video", ("sora", "video", "seedance", "kling", "veo-", "vidu")),
    ("music", ("suno", "music", "lyrics")),
    ("image", ("dall-e", "gpt-image", "flux", "stable-diffusion", "mj_", "midjourney", "imagen", "-image", "seedream")),
    ("audio", ("whisper", "tts-", "audio", "speech", "transcribe")),
)
# Types whose wire protocol is neither OpenAI's nor Anthropic's.
_OTHER_WIRE = {
    "one_api": {11, 15, 16, 17, 18, 21, 23, 24, 30, 33, 34, 35, 37, 38, 42, 43, 46},
    "new_api": {2, 4, 5, 11, 15, 16, 17, 18, 21, 23, 24, 33, 34, 36, 37, 39, 41, 49, 50, 51, 52, 54, 56},
}
# Where a channel without an address of its own calls. Only what the fact sheets name.
_SHARED_ADDRESSES = {
    1: "https://api.openai.com",
    14: "https://api.anthropic.com",
    20: "https://openrouter.ai/api",
    25: "https://api.moonshot.cn",
    31: "https://api.lingyiwanwu.com",
    24: "https://generativelanguage.googleapis.com",
}
_ONE_API_ADDRESSES = {
    26: "https://api.baichuan-ai.com", 27: "https://api.minimax.chat", 28: "https://api.mistral.ai",
    29: "https://api.groq.com/openai", 32: "https://api.stepfun.com", 36: "https://api.deepseek.com",
    39: "https://api.together.xyz", 40: "https://ark.cn-beijing.volces.com", 44: "https://api.siliconflow.cn",
    45: "https://api.x.ai", 35: "https://api.cohere.ai", 41: "https://api.novita.ai/v3/openai",
}  # fmt: skip
_ONE_API_NAMES = {
    26: "baichuan", 27: "minimax", 28: "mistral", 29: "groq", 30: "ollama", 31: "lingyiwanwu", 32: "stepfun", 33: "aws",
    34: "coze", 35: "cohere", 36: "deepseek", 37: "cloudflare", 38: "deepl", 39: "together", 40: "doubao", 41: "novita",
    42: "vertexai", 43: "proxy", 44: "siliconflow", 45: "xai", 46: "replicate", 47: "baidu-v2", 48: "xunfei-v2", 49: "bailian",
    50: "openai-compatible", 51: "gemini-openai", 2: "api2d", 4: "closeai", 5: "openai-sb",
}  # fmt: skip
_NEW_API_NAMES = {
    2: "midjourney", 4: "ollama", 5: "midjourney-plus", 26: "zhipu-v4", 27: "perplexity", 31: "lingyiwanwu", 33: "aws",
    34: "cohere", 35: "minimax", 36: "suno", 37: "dify", 38: "jina", 39: "cloudflare", 40: "siliconflow", 41: "vertexai",
    42: "mistral", 43: "deepseek", 44: "mokaai", 45: "volcengine", 46: "baidu-v2", 47: "xinference", 48: "xai", 49: "coze",
    50: "kling", 51: "jimeng", 52: "vidu", 53: "submodel", 54: "doubao-video", 55: "sora", 56: "replicate", 57: "codex",
    58: "advanced-custom", 59: "sub2api", 60: "newapi",
}  # fmt: skip
_SHARED_NAMES = {
    1: "openai", 3: "azure", 6: "openai-max", 7: "ohmygpt", 8: "custom", 9: "ails", 10: "ai-proxy", 11: "palm", 12: "api2gpt",
    13: "aigc2d", 14: "anthropic", 15: "baidu", 16: "zhipu", 17: "ali", 18: "xunfei", 19: "ai360", 20: "openrouter",
    21: "ai-proxy-library", 22: "fastgpt", 23: "tencent", 24: "gemini", 25: "moonshot",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    code: str
    name: str
    protocol: str
    default_address: str


def modality_of(name: str) -> str:
    """The kind of a model by its name; text when nothing says otherwise."""
    lowered = name.lower()
    return next((kind for kind, words in _MODALITIES if any(word in lowered for word in words)), "text")


def provider_of(product: str, channel_type: int) -> ProviderFacts:
    """The provider behind a channel type; an unknown number keeps its number."""
    own = _NEW_API_NAMES if product == NEW_API else _ONE_API_NAMES
    code = _SHARED_NAMES.get(channel_type) or own.get(channel_type) or f"type-{channel_type}"
    protocol = "openai"
    if channel_type == 14:
        protocol = "anthropic"
    elif channel_type in _OTHER_WIRE[product]:
        protocol = "other"
    address = _SHARED_ADDRESSES.get(channel_type, "")
    if not address and product != NEW_API:
        address = _ONE_API_ADDRESSES.get(channel_type, "")
    return ProviderFacts(code, code.replace("-", " ").title() if code not in ("openai",) else "OpenAI", protocol, address)
