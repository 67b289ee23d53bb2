"""Old entries (the gateways people come from) and which key belongs to which; relay instances that report in."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from keys.models import ApiKey


class OldEntry(models.Model):
    """The public address of an old gateway. Calls of keys on the old route are forwarded here with the caller's own key."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    base_url = models.URLField(_("base URL"), max_length=500, help_text=_("Without /v1 at the end."))
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("old entry")
        verbose_name_plural = _("old entries")

    def __str__(self) -> str:
        return self.name


class KeyOldEntry(models.Model):
    """The old entry a key was used at."""

    key = models.OneToOneField(
        ApiKey, primary_key=True, on_delete=models.CASCADE, related_name="old_entry_link", verbose_name=_("key")
    )
    old_entry = models.ForeignKey(OldEntry, on_delete=models.PROTECT, related_name="key_links", verbose_name=_("old entry"))

    class Meta:
        verbose_name = _("old entry of a key")
        verbose_name_plural = _("old entries of keys")

    def __str__(self) -> str:
        return f"{self.key}: {self.old_entry}"


class RelayInstance(models.Model):
    """A running relay process: when it was last heard of and which configuration it serves."""

    name = models.CharField(_("name"), max_length=128, primary_key=True)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last heard of"))
    config_version = models.BigIntegerField(_("configuration"), default=0)
    open_calls = models.IntegerField(_("open calls"), default=0)

    class Meta:
        verbose_name = _("relay")
        verbose_name_plural = _("relays")

    def __str__(self) -> str:
        return self.name
