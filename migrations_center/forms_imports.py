"""Forms of the import wizard."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from migrations_center.services.apply.context import REFUSE, RENAME
from models_catalog.models import Upstream


class ImportStartForm(forms.Form):
    """Where the old gateway's data are: a file, or a database's address; the log database may be a second one."""

    file = forms.FileField(
        label=_("SQLite file"), required=False, help_text=_("A copy taken while the old gateway stood still.")
    )
    log_file = forms.FileField(label=_("SQLite file of the logs"), required=False)
    address = forms.CharField(
        label=_("or the address of a database"),
        required=False,
        max_length=500,
        # Write-only: a page never shows it again.
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}, render_value=False),
        help_text=_(
            "postgresql://user:password@host:5432/name or mysql://user:password@host:3306/name, an account that may only read."
        ),
    )
    log_address = forms.CharField(
        label=_("Address of the log database"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}, render_value=False),
        help_text=_("Only if the old gateway keeps its logs apart (LOG_SQL_DSN)."),
    )
    old_entry = forms.URLField(
        label=_("Public address of the old gateway"),
        required=False,
        assume_scheme="https",
        help_text=_(
            "With it, people stay on the old entry until their wave is switched. Without it, they are served here at once."
        ),
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if bool(found.get("file")) == bool(found.get("address")) and not self.errors:
            raise forms.ValidationError(_("Give either a file or the address of a database."))
        return found


class ImportDecisionForm(forms.Form):
    """What a person decides about an import; the names are those of ``ImportOptions``."""

    upstream = forms.ChoiceField(
        label=_("Who serves the imported models"),
        required=False,
        help_text=_("The old upstreams come without their credentials and serve nothing until you type these in."),
    )
    old_entry = forms.URLField(
        label=_("Public address of the old gateway"),
        required=False,
        assume_scheme="https",
        help_text=_("With it, people stay on the old entry until their wave is switched."),
    )
    name_clash = forms.ChoiceField(
        label=_("A user name that is taken here"),
        choices=[(RENAME, _("let the person in under another name")), (REFUSE, _("refuse the person"))],
    )
    include_preset_grant = forms.BooleanField(
        label=_("Let the preset grant of the first administrator in as money"), required=False
    )
    with_upstream_secrets = forms.BooleanField(label=_("Take the credentials of the upstreams along"), required=False)
    grant_staff = forms.BooleanField(label=_("Make administrators of the old gateway staff here"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Upstream.objects.order_by("name").values_list("name", flat=True)
        chosen = [("", _("the upstreams of the old gateway")), *((name, name) for name in names)]
        self.fields["upstream"].choices = chosen  # type: ignore[attr-defined]
