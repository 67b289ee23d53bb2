"""What every admin class shares: rights by role, writes through services, bounded counts, honest actions.

Admin classes read freely and never save a row themselves. A subclass names its rights and, where something can be written,
implements ``write``; what a service refuses is shown in the form, nothing is half-saved.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline

from config.foundation.errors import PortalError
from config.foundation.money import format_usd
from config.foundation.redaction import mask
from config.foundation.rights import may

# An admin list of a big table counts no further than this; filters and search lead to what is beyond.
COUNT_LIMIT = 5_000


class BoundedPaginator(Paginator):
    """Counts at most COUNT_LIMIT rows, so that a list of a table with millions costs what a list of thousands does."""

    @cached_property
    def count(self) -> int:
        if isinstance(self.object_list, QuerySet):
            return self.object_list.order_by().values("pk")[:COUNT_LIMIT].count()
        return len(self.object_list)


class ByRight:
    """Admin permissions from the table of rights; an empty right is nobody's."""

    view_right: ClassVar[str] = ""
    change_right: ClassVar[str] = ""
    add_right: ClassVar[str] = ""
    # For actions on rows (``@action(permissions=["act"])``) of classes whose rows have no form.
    act_right: ClassVar[str] = ""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self.view_right) and may(request.user, self.view_right)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self.change_right) and may(request.user, self.change_right)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.add_right) and may(request.user, self.add_right)

    def has_act_permission(self, request: HttpRequest) -> bool:
        return bool(self.act_right) and may(request.user, self.act_right)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


class PortalAdmin(ByRight, ModelAdmin):
    """Base of all admin classes of the portal."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 200
    # Actions that change rows are listed per class; deleting is none of them.
    actions: Any = ()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # PostgreSQL refuses the byte in any text; such an object cannot be.
        return None if "\x00" in object_id else super().get_object(request, object_id, from_field)

    def write(self, request: HttpRequest, instance: Any, form: forms.ModelForm, change: bool) -> Any:
        """Write through services and return the saved object; ``instance`` is the stored row, or None for a new one."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = self.model._base_manager.get(pk=obj.pk) if change else None
        saved = self.write(request, stored, form, change)
        obj.pk = saved.pk
        obj._state.adding = False
        obj._state.db = saved._state.db

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing: related rows are written by the services that ``write`` calls."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "service_refusal", None)
        if refusal is None:
            return form_class
        message = str(refusal.message)

        class RefusedForm(form_class):  # type: ignore[misc, valid-type]
            def clean(self) -> Any:
                super().clean()
                raise ValidationError(message)

        return RefusedForm

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A refusal by a service becomes an error of the form; the transaction is rolled back by then."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except PortalError as refusal:
            request.service_refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)

    def construct_change_message(self, *args: Any, **kwargs: Any) -> list[Any]:
        return []

    # Audit events are written by the services; Django's own admin log would be a second, poorer trail.
    def log_addition(self, *args: Any, **kwargs: Any) -> None:
        return None

    def log_change(self, *args: Any, **kwargs: Any) -> None:
        return None

    def log_deletions(self, *args: Any, **kwargs: Any) -> None:
        return None

    def run_action(self, request: HttpRequest, objects: Iterable[Any], verb: Callable[[Any], Any]) -> None:
        """Call ``verb`` for each object and report how many were done and why others were not (False: nothing to change)."""
        done, refused = 0, dict[str, int]()
        for target in objects:
            try:
                if verb(target) is not False:
                    done += 1
                    continue
                why_not = _("it is in this state already")
            except PortalError as error:
                why_not = str(error.message)
            refused[why_not] = refused.get(why_not, 0) + 1
        why = "; ".join(f"{count} x {reason}" for reason, count in refused.items())
        text = _("%(done)d done, %(refused)d refused.") % {"done": done, "refused": sum(refused.values())}
        level = messages.WARNING if refused else messages.SUCCESS
        self.message_user(request, f"{text} {why}".strip(), level)


class ReadOnlyAdmin(PortalAdmin):
    """A list and a page per object with exactly the ``fields`` named; nobody writes here."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(TabularInline):
    """Rows of a related table, shown to whoever may see the page they are on."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def usd(nano: int | None) -> str:
    """An amount for an admin column; "-" when there is none."""
    return "-" if nano is None else format_usd(nano)


def usd_column(name: str, title: Any) -> Callable[[Any], str]:
    """A column that shows the nano-USD field ``name`` as dollars."""

    @admin.display(description=title, ordering=name)
    def column(target: Any) -> str:
        return usd(getattr(target, name))

    # Django keys columns by name, so two of them in one class need two.
    column.__name__ = f"{name}_usd"
    return column


def json_column(name: str, title: Any) -> Callable[[Any], str]:
    """A field that shows JSON with one key a line, in a type that keeps the columns."""

    @admin.display(description=title)
    def column(target: Any) -> str:
        text = json.dumps(getattr(target, name), ensure_ascii=False, indent=2, sort_keys=True, default=str)
        return format_html("<pre>{}</pre>", mask(text))

    column.__name__ = f"{name}_json"
    return column


def page_link(stem: str, text: Any, *args: Any) -> str:
    """A link to one of our own pages by URL name; the bare text where there is no such page."""
    try:
        address = reverse(stem, args=args)
    except NoReverseMatch:
        return str(text)
    return format_html('<a href="{}">{}</a>', address, text)
