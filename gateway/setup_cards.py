"""How to point a client at the unified entry: one card a client, with the base URL in the shape that client wants.

Pure: the caller gives the addresses, the key's tail and a model. A card never holds a key, only a masked placeholder.
"""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Card:
    """``fields`` are (label, value) to type into the client; ``snippet`` is a file or command with its ``language``.

    ``needs`` is the path the client calls; ``is_served`` whether the entry answers it. ``answers``: the model behind a use
    profile's name, which stands on no line that is typed into a client.
    """

    slug: str
    name: str
    needs: str
    is_served: bool
    steps: list[str]
    fields: list[tuple[str, str]] = field(default_factory=list)
    language: str = ""
    snippet: str = ""
    note: str = ""
    answers: str = ""


CHAT, IMAGES, VIDEOS = "/v1/chat/completions", "/v1/images/generations", "/v1/videos"
# The five cards of each kind of work.
FIVE = {
    "writing": ("cherry-studio", "lobechat", "chatbox", "python", "env"),
    "coding": ("cursor", "claude-code", "codex-cli", "python", "node"),
    "image": ("cherry-studio", "python", "node", "curl", "litellm"),
    "video": ("python", "node", "curl", "litellm", "env"),
    "batch": ("python", "node", "curl", "litellm", "env"),
}


def cards(*, origin: str, tail: str, model: str, served: frozenset[str], use: str = "", answers: str = "") -> list[Card]:
    """Every card. ``origin`` has no path (https://gateway.example.org); ``tail`` is "" when no key is chosen. ``use``: a kind
    of work of ``FIVE``, whose calls the snippets make; ``answers``: the model that stands behind a use profile's name."""
    placeholder = f"sk-...{tail}" if tail else "sk-..."
    base = f"{origin}/v1"
    made = [*_apps(origin, base, placeholder, model), *_terminals(origin, base, model), *_sdks(base, model, use)]
    return [Card(**{**card, "is_served": card["needs"] in served, "answers": answers}) for card in made]


def profile_cards(*, origin: str, tail: str, alias: str, served: frozenset[str], use: str, answers: str) -> list[Card]:
    """The five cards of a use profile: all name its ``alias``, none the model that ``answers``."""
    made = {card.slug: card for card in cards(origin=origin, tail=tail, model=alias, served=served, use=use, answers=answers)}
    return [made[slug] for slug in FIVE[use]]


def _apps(origin: str, base: str, placeholder: str, model: str) -> list[dict[str, Any]]:
    key, address, model_word = _("API key"), _("Base URL"), _("Model")
    return [
        {
            "slug": "cursor",
            "name": "Cursor",
            "needs": CHAT,
            "steps": [
                _("Open Settings, then Models."),
                _("Under “API Keys” switch on “OpenAI API Key” and “Override OpenAI Base URL”, and fill in these:"),
                _("Add the model's name under “Add model”, then press Verify."),
            ],
            "fields": [(address, base), (key, placeholder), (model_word, model)],
            "note": _("Cursor's servers make the call, so this address must be reachable from the internet."),
        },
        {
            "slug": "cherry-studio",
            "name": "Cherry Studio",
            "needs": CHAT,
            "steps": [
                _("Open Settings, then Model Provider, then Add, and choose the type OpenAI."),
                _("Fill in these, press Check, then add the model under Manage."),
            ],
            "fields": [(_("API host"), origin), (key, placeholder), (model_word, model)],
            "note": _("Without /v1 and without a slash at the end: Cherry Studio adds /v1 itself."),
        },
        {
            "slug": "lobechat",
            "name": "LobeChat",
            "needs": CHAT,
            "steps": [
                _("Open Settings, then AI Service Provider, then OpenAI, and fill in these."),
                _("Add the model to its list."),
            ],
            "fields": [(_("API proxy address"), base), (key, placeholder), (model_word, model)],
            "note": _("With /v1 at the end. “Use client request mode” stays off."),
        },
        {
            "slug": "chatbox",
            "name": "Chatbox",
            "needs": CHAT,
            "steps": [
                _("Open Settings, then Model Provider, then Add, with the API mode “OpenAI API compatible”, and fill in these.")
            ],
            "fields": [(_("API host"), origin), (_("API path"), CHAT), (key, placeholder), (model_word, model)],
        },
    ]


def _terminals(origin: str, base: str, model: str) -> list[dict[str, Any]]:
    return [
        {
            "slug": "claude-code",
            "name": "Claude Code",
            "needs": "/v1/messages",
            "steps": [_("Put the key into the variable PORTAL_API_KEY, then start Claude Code from the same terminal:")],
            "language": "bash",
            "snippet": (
                f'export ANTHROPIC_BASE_URL="{origin}"\n'
                'export ANTHROPIC_AUTH_TOKEN="$PORTAL_API_KEY"\n'
                f'export ANTHROPIC_MODEL="{model}"\n'
                "claude"
            ),
            "note": _("Without /v1: Claude Code adds it."),
        },
        {
            "slug": "codex-cli",
            "name": "Codex CLI",
            "needs": "/v1/responses",
            "steps": [_("Put the key into the variable PORTAL_API_KEY and this into ~/.codex/config.toml:")],
            "language": "toml",
            "snippet": (
                f'model = "{model}"\n'
                'model_provider = "portal"\n\n'
                "[model_providers.portal]\n"
                'name = "Gateway portal"\n'
                f'base_url = "{base}"\n'
                'env_key = "PORTAL_API_KEY"\n'
                'wire_api = "responses"'
            ),
        },
        {
            "slug": "env",
            "name": _("Servers: environment variables"),
            "needs": CHAT,
            "steps": [_("Most libraries read these two. Keep the key in your secret store and set it at start:")],
            "language": "bash",
            "snippet": f'export OPENAI_BASE_URL="{base}"\nexport OPENAI_API_KEY="$PORTAL_API_KEY"',
        },
    ]


# What the snippets call for a kind of work: the path, and how each language says it with the model's name.
_MADE: dict[str, dict[str, str]] = {
    "": {
        "path": CHAT,
        "python": (
            "answer = client.chat.completions.create(\n"
            '    model="{model}",\n'
            '    messages=[{{"role": "user", "content": "Say hello."}}],\n'
            ")\n"
            "print(answer.choices[0].message.content)"
        ),
        "node": (
            "const answer = await client.chat.completions.create({{\n"
            '  model: "{model}",\n'
            '  messages: [{{ role: "user", content: "Say hello." }}],\n'
            "}});\n"
            "console.log(answer.choices[0].message.content);"
        ),
        "curl": '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}',
        "litellm": (
            "answer = litellm.completion(\n"
            '    model="openai/{model}",\n'
            '    messages=[{{"role": "user", "content": "Say hello."}}],\n'
            "    {access},\n"
            ")\n"
            "print(answer.choices[0].message.content)"
        ),
    },
    "image": {
        "path": IMAGES,
        "python": 'made = client.images.generate(model="{model}", prompt="A house by a lake")\nprint(len(made.data))',
        "node": (
            'const made = await client.images.generate({{ model: "{model}", prompt: "A house by a lake" }});\n'
            "console.log(made.data.length);"
        ),
        "curl": '{{"model": "{model}", "prompt": "A house by a lake"}}',
        "litellm": (
            'made = litellm.image_generation(model="openai/{model}", prompt="A house by a lake", {access})\n'
            "print(len(made.data))"
        ),
    },
    "video": {
        "path": VIDEOS,
        "python": 'video = client.videos.create(model="{model}", prompt="A lake in the rain")\nprint(video.id, video.status)',
        "node": (
            'const video = await client.videos.create({{ model: "{model}", prompt: "A lake in the rain" }});\n'
            "console.log(video.id, video.status);"
        ),
        "curl": '{{"model": "{model}", "prompt": "A lake in the rain"}}',
        "litellm": (
            'video = litellm.video_generation(model="openai/{model}", prompt="A lake in the rain", {access})\n'
            "print(video.id, video.status)"
        ),
    },
}
_KEY = 'os.environ["PORTAL_API_KEY"]'


def _sdks(base: str, model: str, use: str) -> list[dict[str, Any]]:
    read_key = _("Put the key into the variable PORTAL_API_KEY; it never stands in the code.")
    words = _MADE.get(use, _MADE[""])
    path = words["path"]
    said = {
        name: text.format(model=model, access=f'api_base="{base}", api_key={_KEY}')
        for name, text in words.items()
        if name != "path"
    }
    shared = {"needs": path, "steps": [read_key]}
    return [
        {
            **shared,
            "slug": "python",
            "name": "OpenAI SDK, Python",
            "language": "python",
            "snippet": (
                "import os\n\nfrom openai import OpenAI\n\n"
                f'client = OpenAI(base_url="{base}", api_key={_KEY})\n' + said["python"]
            ),
        },
        {
            **shared,
            "slug": "node",
            "name": "OpenAI SDK, Node",
            "language": "js",
            "snippet": (
                'import OpenAI from "openai";\n\n'
                f'const client = new OpenAI({{ baseURL: "{base}", apiKey: process.env.PORTAL_API_KEY }});\n' + said["node"]
            ),
        },
        {
            **shared,
            "slug": "litellm",
            "name": "LiteLLM, Python",
            "language": "python",
            "snippet": "import os\n\nimport litellm\n\n" + said["litellm"],
            "note": _("To call tools with it, install the package mcp too."),
        },
        {
            **shared,
            "slug": "curl",
            "name": "curl",
            "language": "bash",
            "snippet": (
                f"curl {base}{path.removeprefix('/v1')} \\\n"
                '  -H "Authorization: Bearer $PORTAL_API_KEY" \\\n'
                '  -H "Content-Type: application/json" \\\n'
                f"  -d '{said['curl']}'"
            ),
        },
    ]
