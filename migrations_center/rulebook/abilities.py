"""Who could call what: groups and models of the enabled channels, and where a channel's name mapping leads."""

from collections import defaultdict
from collections.abc import Iterable

from migrations_center.sources.records import OldChannel
from migrations_center.sources.schema import NEW_API

Matrix = dict[str, dict[str, list[OldChannel]]]


def ability_matrix(channels: Iterable[OldChannel]) -> Matrix:
    """Group -> model -> the enabled channels that serve it, highest priority first; ``abilities`` is derived from this."""
    matrix: Matrix = defaultdict(lambda: defaultdict(list))
    for channel in sorted(channels, key=lambda channel: (-channel.priority, channel.id)):
        if not channel.is_enabled:
            continue
        for group in channel.groups:
            for model in channel.models:
                matrix[group][model].append(channel)
    return {group: dict(models) for group, models in matrix.items()}


def upstream_name(channel: OldChannel, asked: str, product: str) -> str:
    """The name the channel calls for ``asked``. One API maps once; New API follows chains and refuses a circle ("")."""
    name = channel.mapping.get(asked, asked)
    if product != NEW_API:
        return name
    seen = {asked}
    while name in channel.mapping and channel.mapping[name] != name:
        if name in seen:
            return ""
        seen.add(name)
        name = channel.mapping[name]
    return name


def asked_name(channel: OldChannel, upstream: str, product: str) -> str:
    """The name that was asked for when a row says ``upstream``: only where the channel leaves no second possibility."""
    if product == NEW_API or upstream in channel.models:
        return upstream
    asked = [model for model in channel.models if channel.mapping.get(model) == upstream]
    return asked[0] if len(asked) == 1 else upstream


def name_targets(channels: Iterable[OldChannel], product: str) -> dict[str, dict[str, list[OldChannel]]]:
    """Asked name -> upstream name -> the enabled channels that map it so. More than one upstream name is ambiguous."""
    targets: dict[str, dict[str, list[OldChannel]]] = defaultdict(lambda: defaultdict(list))
    for channel in sorted(channels, key=lambda channel: (-channel.priority, channel.id)):
        if channel.is_enabled:
            for model in channel.models:
                target = upstream_name(channel, model, product)
                if target:
                    targets[model][target].append(channel)
    return {asked: dict(found) for asked, found in targets.items()}
