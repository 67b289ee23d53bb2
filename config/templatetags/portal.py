"""Filters for money, numbers and times; templates have no arithmetic of their own."""

from django import template

from config.foundation.money import format_usd

register = template.Library()


@register.filter
def usd(nano: int | None, places: int = 4) -> str:
    """Money for a list: at most ``places`` digits."""
    return "-" if nano is None else format_usd(int(nano), int(places))


@register.filter
def usd_exact(nano: int | None) -> str:
    """Money with every digit, for details."""
    return "-" if nano is None else format_usd(int(nano), 9)
