"""The table of groups for finance: old quota and multiplier beside the new budget."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import selectors as people
from accounts.models import User
from accounts.rights import may, require
from billing.exports import csv_response
from config.foundation.errors import NotFound
from migrations_center.group_quota import HEADER, RIGHT, export_rows, group_lines, member_lines, total_of


class Asked(HttpRequest):
    """A request of somebody who is logged in."""

    user: User


@login_required
@require_safe
def group_quota(request: Asked) -> HttpResponseBase:
    require(request.user, RIGHT)
    if request.GET.get("export") == "csv":
        return csv_response("group-quota", HEADER, export_rows(request.user))
    lines = group_lines(request.user)
    context = {"lines": lines, "total": total_of(lines), "may_limit": may(request.user, "keys.manage")}
    return render(request, "migrations_center/group_quota.html", context)


@login_required
@require_safe
def group_quota_members(request: Asked, group_id: int) -> HttpResponseBase:
    require(request.user, RIGHT)
    group = people.groups_for(request.user).filter(pk=group_id).first()
    if group is None:
        raise NotFound
    lines = list(member_lines(request.user, group))
    context = {
        "group": group,
        "lines": lines,
        "old_units": sum(line.old_units for line in lines),
        "old_nano": sum(line.old_nano for line in lines),
        "balance_nano": sum(line.balance_nano for line in lines),
        "held_nano": sum(line.held_nano for line in lines),
    }
    return render(request, "migrations_center/group_quota_members.html", context)
