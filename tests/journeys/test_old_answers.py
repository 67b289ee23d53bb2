"""Every key of the samples against the models of its answers file, through the real relay.

What the old server served is served, what it refused is refused; each difference is on the list the portal shows.
"""

import collections
import http.client
import json
from typing import Any

import pytest

from migrations_center.models import ImportIssue
from tests.gateway.servers import Server
from tests.journeys.conftest import answers, demo_upstream, sample

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Addresses that this unified entry does not serve (yet): there is nothing to compare with.
SERVED_PATHS = {"/v1/chat/completions", "/v1/embeddings"}
FORMS_ONE_API = {
    "no sk- prefix": lambda key: {"Authorization": f"Bearer {key}"},
    "no Bearer": lambda key: {"Authorization": key},
    "no Bearer, with sk-": lambda key: {"Authorization": f"sk-{key}"},
    "lower-case bearer": lambda key: {"Authorization": f"bearer sk-{key}"},
    "x-api-key": lambda key: {"x-api-key": f"sk-{key}"},
    "api-key": lambda key: {"api-key": f"sk-{key}"},
    "channel suffix of a common user": lambda key: {"Authorization": f"Bearer sk-{key}-1"},
    "upper-case key": lambda key: {"Authorization": f"Bearer sk-{key.upper()}"},
    "key cut by one letter": lambda key: {"Authorization": f"Bearer sk-{key[:-1]}"},
    "trailing space": lambda key: {"Authorization": f"Bearer sk-{key} "},
    "unknown key": lambda key: {"Authorization": "Bearer sk-" + "0" * 48},
    "no header": lambda key: {},
}
DEAD = {
    "disabled", "deleted", "batch-deleted", "expired-marked", "expired-unmarked", "exhausted", "exhausted-not-marked",
    "zero-cap", "user-disabled", "user-deleted", "user-gone", "unknown",
}  # fmt: skip
FORMS_NEW_API = {
    "bearer sk-": lambda key: {"Authorization": f"Bearer sk-{key}"},
    "bearer without sk-": lambda key: {"Authorization": f"Bearer {key}"},
    "bare sk- without bearer": lambda key: {"Authorization": f"sk-{key}"},
    "bare without anything": lambda key: {"Authorization": key},
    "bearer in small letters": lambda key: {"Authorization": f"bearer sk-{key}"},
    "bearer sk-sk-": lambda key: {"Authorization": f"Bearer sk-sk-{key}"},
    "key in upper case": lambda key: {"Authorization": f"Bearer sk-{key.upper()}"},
    "x-api-key on chat": lambda key: {"x-api-key": f"sk-{key}"},
    "suffix -1 (pinned channel)": lambda key: {"Authorization": f"Bearer sk-{key}-1"},
    "suffix -9999 (no such channel)": lambda key: {"Authorization": f"Bearer sk-{key}-9999"},
    "suffix -abc": lambda key: {"Authorization": f"Bearer sk-{key}-abc"},
    "forwarded-for 203.0.113.9": lambda key: {"Authorization": f"Bearer sk-{key}", "X-Forwarded-For": "203.0.113.9"},
    "forwarded-for 127.0.0.77": lambda key: {"Authorization": f"Bearer sk-{key}", "X-Forwarded-For": "127.0.0.77"},
}


class Caller:
    """A client of the plainest kind: it sends a header as it is, trailing blank and all."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)

    def ask(self, path: str, headers: dict[str, str], model: str) -> tuple[int, str]:
        """Status and error code ("" for an answer)."""
        body: dict[str, Any] = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
        if path == "/v1/embeddings":
            body = {"model": model, "input": "hello"}
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = self.connection.getresponse()
        found = json.loads(answer.read())
        return answer.status, "" if answer.status == 200 else found["error"]["code"]


def listed(key_id: object) -> dict[str, set[str]]:
    """Reasons on the portal's list for this key (by its old id), with the models each touches ("*": every one)."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for issue in ImportIssue.objects.filter(kind=ImportIssue.Kind.DIFFERENCE, table="tokens", row_id__in=[str(key_id), ""]):
        found[issue.reason] |= set(issue.detail.get("models") or ["*"])
    return found


def unexplained(rows: list[tuple[dict[str, Any], int, str]], reason_of: Any) -> list[Any]:
    """Rows whose difference no reason on the list covers."""
    left = []
    for row, status, code in rows:
        key = row.get("token_id") or str(row.get("key", "")).removeprefix("token ")
        reasons = listed(key)
        wanted = reason_of(row, status)
        covered = any(word in reasons and reasons[word] & {row["model"], "*"} for word in wanted)
        if not covered:
            left.append((row, status, code, wanted, sorted(reasons)))
    return left


def test_one_api_keys_are_served_and_refused_as_before(upstream: Server, relay: Server, bring_in: Any) -> None:
    """R013: kept keys answer 200 with the old secret; disabled, expired, exhausted and deleted ones never come back."""
    demo_upstream(upstream.url)
    bring_in("one-api.sqlite3", upstream="demo")
    keys = {f"token {key['id']}": key["key"] for key in sample("one-api.totals.json")["keys"]}
    differs: list[tuple[dict[str, Any], int, str]] = []
    dead: collections.Counter[tuple[str, int, str]] = collections.Counter()
    rows = answers("one-api.answers.jsonl")
    caller = Caller(relay.url)
    for row in rows:
        if row["key"] == "forms":
            headers = FORMS_ONE_API[row["case"]](keys["token 23"])
        else:
            headers = {"Authorization": f"Bearer sk-{keys[row['key']]}"}
        status, code = caller.ask("/v1/chat/completions", headers, row["model"])
        if row["status"] in (401, 403) and row["key"] != "forms":
            dead[(row["case"], status, code)] += 1
        if (status == 200) != (row["status"] == 200):
            differs.append((row, status, code))
    assert len(rows) == 412
    form_reasons = {"lower-case bearer": ["small_bearer_accepted"]}
    header_forms = ("x-api-key", "api-key")

    def reasons(row: dict[str, Any], status: int) -> list[str]:
        if row["case"] in header_forms:
            return ["more_headers_accepted"]
        return form_reasons.get(row["case"], [])

    assert unexplained(differs, reasons) == []
    # Twice a small letter or another header, and nothing else, is where the two answer differently.
    assert sorted(row["case"] for row, _, _ in differs) == ["api-key", "lower-case bearer", "x-api-key"]
    assert set(dead) == {
        ("disabled", 401, "api_key_disabled"),
        ("expired, status says so", 401, "api_key_expired"),
        ("expired, status still says enabled", 401, "api_key_expired"),
        ("deleted (the row is gone)", 401, "invalid_api_key"),
        ("enabled, owner disabled", 403, "account_disabled"),
        ("enabled, owner deleted", 401, "invalid_api_key"),
        ("exhausted by calls", 401, "api_key_disabled"),
        ("limited to models", 403, "model_not_allowed_for_key"),
        ("network that does not hold the caller", 403, "network_not_allowed"),
    }


def test_new_api_keys_are_served_and_refused_as_before(upstream: Server, relay: Server, bring_in: Any) -> None:
    """R013: the same for New API, with groups, automatic keys, pins and forwarded addresses."""
    demo_upstream(upstream.url)
    bring_in("new-api.sqlite3", upstream="demo")
    keys = {key["id"]: key["key"].removeprefix("sk-") for key in sample("new-api.totals.json")["tokens"]}
    rows = [row for row in answers("new-api.answers.jsonl") if row["path"] in SERVED_PATHS]
    differs: list[tuple[dict[str, Any], int, str]] = []
    caller = Caller(relay.url)
    for row in rows:
        key = keys.get(row["token_id"], "0" * 48)
        status, code = caller.ask(row["path"], FORMS_NEW_API[row["key_form"]](key), row["model"])
        if (status == 200) != (row["status"] == 200):
            differs.append((row, status, code))
    assert len(rows) > 1100

    def reasons(row: dict[str, Any], status: int) -> list[str]:
        form = row["key_form"]
        if form == "x-api-key on chat":
            return ["more_headers_accepted"]
        if form.startswith("forwarded-for") and row["kind"].startswith("ip-"):
            return ["addresses_of_proxies_not_believed"]
        if form.startswith("suffix") and row["status"] == 400:
            return ["channel_pin_ignored"]
        served = "served_now_" if status == 200 else "refused_now_"
        return [reason for reason in listed(row["token_id"]) if reason.startswith(served)]

    assert unexplained(differs, reasons) == []
    # Without the other headers, forwarded addresses and pins, three kinds of answers are left that differ.
    plain = collections.Counter(
        (row["token_id"], row["model"], row["status"], status, code)
        for row, status, code in differs
        if row["key_form"] == "bearer sk-"
    )
    assert {(token, code) for token, _, _, _, code in plain} == {
        (1, "insufficient_quota"),  # root lived on the product's own grant, which is not money
        *((token, "model_not_priced") for token in (12, 13, 14, 15, 16)),  # their owner had accepted an unknown price
        (47, ""),  # nothing in the purse, but the model is free
    }
    for row, status, code in differs:
        if row["kind"] in DEAD:
            raise AssertionError(f"a dead key came back: {row}, {status} {code}")
