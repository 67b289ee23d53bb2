"""Fields that the forms of money share: amounts, currencies, rates, and who pays."""

from fractions import Fraction
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Group, User
from config.foundation.money import parse_usd
from config.foundation.redaction import looks_like_key


def refuse_key(text: str) -> Any:
    """The text, unless it could be a whole key: that is refused without being repeated."""
    if any(looks_like_key(word) for word in text.split()):
        raise forms.ValidationError(
            _("This looks like a whole API key. It was not kept. Its last four characters are enough to find it."),
            code="secret_pasted",
        )
    return text


class DollarsField(forms.CharField):
    """An amount as nano-units of its currency; ``signed`` lets it be negative, ``zero`` lets it be nothing."""

    def __init__(self, *, signed: bool = False, zero: bool = False, most: int = 10**15, **kwargs: Any) -> None:
        self.signed, self.zero, self.most = signed, zero, most
        super().__init__(max_length=32, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            nano = parse_usd(text)
        except ValueError:
            raise forms.ValidationError(_("Write an amount such as 10 or 2.50.")) from None
        if abs(nano) > self.most:
            raise forms.ValidationError(_("The amount is too large."))
        if (nano < 0 and not self.signed) or (nano == 0 and not self.zero):
            raise forms.ValidationError(_("The amount must be greater than zero."))
        return nano


class CurrencyField(forms.RegexField):
    """A currency by its three letters, in capitals."""

    def __init__(self, **kwargs: Any) -> None:
        errors = {"invalid": _("A currency is three letters such as USD or EUR.")}
        widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"})
        super().__init__(regex=r"^[A-Z]{3}$", max_length=3, error_messages=errors, widget=widget, **kwargs)

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").upper()


class RateField(forms.CharField):
    """A rate written as a decimal, as a fraction of whole numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=24, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value).strip()
        whole, _dot, rest = text.partition(".")
        if not (whole.isascii() and whole.isdecimal() and (not rest or (rest.isascii() and rest.isdecimal()))):
            raise forms.ValidationError(_("Write a rate such as 1.0852."))
        rate = Fraction(text)
        if rate <= 0:
            raise forms.ValidationError(_("A rate is greater than zero."))
        return rate


class PayerField(forms.CharField):
    """A person by user name or e-mail address, or a team by its code (with or without #)."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = kwargs.pop("help_text", _("User name or e-mail address of a person, or the code of a team."))
        super().__init__(max_length=191, help_text=help_text, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return find_payer(text) if text else None


def find_payer(text: str) -> User | Group:
    """The person (user name or e-mail address) or team (code, also after #) of this name; raises ValidationError."""
    cleaned = refuse_key(text.strip())
    person = User.objects.filter(username=cleaned).first()
    person = person or User.objects.filter(email__iexact=cleaned).exclude(email="").first()
    payer = person or Group.objects.filter(code=cleaned.removeprefix("#"), kind=Group.Kind.TEAM).first()
    if payer is None:
        raise forms.ValidationError(_("There is no such person or team."))
    return payer
