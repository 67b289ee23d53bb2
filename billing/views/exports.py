"""Exports on their way: progress, and the file when it is ready."""

from itertools import chain, islice
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from billing.exports import XLSX, csv_response, xlsx_response
from billing.models import ExportJob
from billing.services import exports
from billing.services.exports import Table
from billing.tasks import make_export_task
from billing.views.home import Asked
from config.foundation.errors import NotFound, PortalError

# What a workbook may have to be made while its reader waits: a second or two.
IN_REQUEST = 5_000


def list_response(request: Asked, kind: str, name: str, table: Table, *, saved_as: str = "", **asked: str) -> HttpResponseBase:
    """The list as CSV, streamed; as a workbook at once while it is small, else by a worker. ``saved_as`` is the file's name
    when it is not the list's; ``asked`` is what the worker must know beside the query of the address."""
    if kind != "xlsx":
        return csv_response(saved_as or name, table.header, table.rows)
    rows = iter(table.rows)
    first = list(islice(rows, IN_REQUEST + 1))
    if len(first) <= IN_REQUEST:
        return xlsx_response(saved_as or name, table.header, chain(first, rows))
    query = request.GET.copy()
    query.pop("export", None)
    query.update(asked)
    try:
        job = exports.start_export(actor=request.user, name=name, query=query.urlencode())
    except PortalError as refused:
        messages.error(request, refused.message)
        return redirect("export_list")
    transaction.on_commit(lambda: make_export_task.delay(str(job.pk)))
    return redirect("export_detail", job.pk)


@login_required
@require_safe
def export_list(request: Asked) -> HttpResponse:
    rows = list(ExportJob.objects.filter(user=request.user)[:50])
    return render(request, "billing/export_list.html", {"rows": rows})


@login_required
@require_safe
def export_detail(request: Asked, job_id: UUID) -> HttpResponse:
    job = exports.export_for(request.user, job_id)
    is_open = job.state in (ExportJob.State.QUEUED, ExportJob.State.RUNNING)
    return render(request, "billing/export_detail.html", {"job": job, "is_open": is_open})


@login_required
@require_safe
def export_download(request: Asked, job_id: UUID) -> HttpResponseBase:
    job = exports.export_for(request.user, job_id)
    if job.state != ExportJob.State.DONE:
        raise NotFound(_("This export is not ready."))
    response = StreamingHttpResponse(exports.content_of(job), content_type=XLSX)
    response["Content-Disposition"] = f'attachment; filename="{job.name}.xlsx"'
    response["Content-Length"] = str(job.byte_count)
    response["Cache-Control"] = "no-store"
    return response
