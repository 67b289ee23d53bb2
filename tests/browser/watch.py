"""Alerts, web hooks and reconciliation for the pictures: fired, over, paused, failed and decided."""

from datetime import timedelta

from billing.models import AlertEvent, Difference, HookAttempt, HookDelivery, ReconcileRun
from billing.services import alerts, desk, hooks
from billing.services.alerts import notices
from billing.services.reconcile.checks import checks_of
from config.foundation.clock import now
from keys.services import pause_key
from tests.pages.conftest import DOLLAR, World

# picture, who looks, address
PAGES = [
    ("alerts", "alice", "/alerts/"),
    ("alerts-none", "charlie", "/alerts/"),
    ("alert", "alice", "/alerts/{odd}/"),
    ("alert-choices", "alice", "/alerts/choices/"),
    ("hooks", "alice", "/alerts/hooks/"),
    ("hooks-none", "charlie", "/alerts/hooks/"),
    ("hook", "alice", "/alerts/hooks/{hook}/"),
    ("alerts-of-all", "fin", "/alerts/"),
    ("alert-choices-staff", "fin", "/alerts/choices/"),
    ("reconcile", "fin", "/finance/reconcile/"),
    ("reconcile-none", "fin", "/finance/reconcile/?state=fixed"),
    ("reconcile-run", "fin", "/finance/reconcile/runs/{run}/"),
    ("difference", "fin", "/finance/reconcile/{difference}/"),
    ("desk", "fin", "/finance/desk/"),
    ("desk-item", "fin", "/finance/desk/{item}/"),
]


def watch_of(world: World) -> dict[str, str]:
    """Fill the pages; gives what the addresses name."""
    low = alerts.rule_of("balance_low", user_id=world.alice.pk)
    for phase, value in (("triggered", 9 * DOLLAR // 10), ("resolved", 25 * DOLLAR)):
        AlertEvent.objects.create(rule=low, kind=low.kind, phase=phase, epoch=1, threshold=DOLLAR, value=value)
    figures = {
        "name": world.key.name,
        "key_id": world.key.pk,
        "times_tenths": 82,
        "is_paused": True,
        "spent_nano": 82 * DOLLAR // 100,
        "usual_nano": DOLLAR // 10,
        "bound_nano": 4 * DOLLAR // 10,
        "sample_size": 840,
        "calls": 214,
        "top_calls": [{"id": world.call_id.hex, "model": "gpt-4o", "cost_nano": 41_000_000}],
    }
    rule = alerts.rule_of("odd_spend", user_id=world.alice.pk)
    endpoint, _clear = hooks.add_endpoint(actor=world.alice, url="https://hooks.example.com/portal/alerts", user=world.alice)
    values = {"kind": rule.kind, "subject": f"key:{world.key.pk}", "epoch": 1, "threshold": 4, "value": 8}
    odd = AlertEvent.objects.create(rule=rule, figures=figures, **values)
    notices.tell(odd)
    delivery = HookDelivery.objects.get()
    for status, error in ((0, "ConnectionRefusedError"), (500, "refused"), (204, "")):
        HookAttempt.objects.create(delivery=delivery, http_status=status, error=error, duration_ms=31)
    HookDelivery.objects.update(state="sent", attempts=3, sent_at=now())
    pause_key(actor=None, key=world.key, reason="odd_spend")
    holds = alerts.rule_of("old_holds")
    AlertEvent.objects.create(rule=holds, kind=holds.kind, epoch=1, threshold=1, value=3, figures={"amount_nano": DOLLAR})
    results = [{"code": check.code, "differences": int(check.code == "balance"), "ms": 12} for check in checks_of("full")]
    run = ReconcileRun.objects.create(
        scope="full", state="done", since=now(), finished_at=now() + timedelta(seconds=40), results=results,
        difference_count=1, checks_done=len(results), checks_total=len(results),
    )  # fmt: skip
    row = {"check_code": "balance", "first_run": run, "last_run": run, "detail": "balance 12400000000, entries 12400000001"}
    difference = Difference.objects.create(thing="purse 17", **row)
    item = desk.open_desk_item(
        actor=None,
        kind="unbilled",
        reference=world.call_id.hex,
        reason="never_charged",
        amount_nano=370_000,
        user=world.alice,
        request_id=world.call_id,
        details={"asked_model": "gpt-4o", "input_tokens": 1204, "output_tokens": 88},
    )
    names = {"odd": odd.pk.hex, "hook": endpoint.pk, "run": run.pk.hex, "difference": difference.pk, "item": item.pk}
    return {name: str(value) for name, value in names.items()}
