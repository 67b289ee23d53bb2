"""``manage.py import_source`` in processes of its own: repeated, killed, dry, with a later copy, with errors."""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from tests.migrations_center.imports import support
from tests.migrations_center.imports.support import RUN_TABLES, manage, sample, state, totals

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
Portal = Callable[[], AbstractContextManager[str]]
FACTS = ("product", "unit", "tables", "totals", "left_out", "refused")


def imported(name: str, *arguments: str, **extra: str) -> dict:
    done = manage(name, "import_source", *arguments, "--json", **extra)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert tuple(report) == FACTS
    return report


def test_r075_a_dry_run_writes_nothing_and_a_second_import_changes_nothing(portal: Portal) -> None:
    """R059, R060, R075: row counts of all tables are unchanged by a dry run; the file is byte for byte what it was; a
    second import leaves every row as it was; two dry runs on one snapshot say the same."""
    path = sample("one-api")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with portal() as name:
        empty = support.counts(name)
        first = imported(name, str(path), "--dry-run")
        assert imported(name, str(path), "--dry-run") == first
        assert support.counts(name) == empty
        report = imported(name, str(path))
        assert report["totals"] == first["totals"]
        assert report["tables"] == first["tables"]
        counts, landed = support.counts(name), state(name)
        again = imported(name, str(path))
        assert {t: n for t, n in support.counts(name).items() if t not in RUN_TABLES} == {
            t: n for t, n in counts.items() if t not in RUN_TABLES
        }
        assert state(name) == landed
        assert {row["created"] + row["updated"] for row in again["tables"].values()} == {0}
        assert again["totals"] == report["totals"]
        assert manage(name, "ledger_check").returncode == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_the_later_copy_changes_exactly_what_its_totals_name_one_api(portal: Portal) -> None:
    known = totals("one-api.later")["changes after the first snapshot"]
    with portal() as name:
        imported(name, str(sample("one-api")))
        before = state(name)
        report = imported(name, str(sample("one-api.later")))
        after = state(name)
        assert report["tables"]["users"]["created"] == 1
        assert {p[0] for p in after["people"]} - {p[0] for p in before["people"]} == {
            _username("one-api.later", known["new person"])
        }
        old_keys, new_keys = ({k[12]: k for k in found["keys"]} for found in (before, after))
        # The new person's own first key besides the new key that the file names.
        assert len(new_keys.keys() - old_keys.keys()) == 2
        dead = {
            k for k in old_keys if (old_keys[k][2], new_keys[k][2]) != ("active", "active") and old_keys[k][2] != new_keys[k][2]
        }
        assert {(new_keys[k][2], new_keys[k][3]) for k in dead} == {
            ("revoked", "deleted_in_old"),
            ("disabled", "disabled_in_old"),
        }
        assert len(dead) == 2
        used = [c for c in after["codes"] if c not in before["codes"]]
        assert [(c[1], c[2]) for c in used] == [("used", known["code redeemed"]["quota"] * 2000)]
        assert after["groups"] == before["groups"]
        assert after["models"] == before["models"]
        assert after["names"] == before["names"]
        assert [p[:2] for p in after["prices"]] == [("one-api", 1), ("one-api", 2)]
        assert _multiplier(name, "one-api/vip") == "0.85"
        assert len(after["calls"]) - len(before["calls"]) == 226
        assert set(before["calls"]) <= set(after["calls"])
        people = {b[1]: b[4] for b in _balances("one-api.later") if b[1] != "root"}
        purses = {p[0]: p[3] for p in after["purses"] if p[1] == "prepaid" and p[0]}
        assert purses == {username: quota * 2000 for username, quota in people.items() if quota}
        assert _openings_untouched(before["entries"], after["entries"])
        assert manage(name, "ledger_check").returncode == 0
        landed = state(name)
        imported(name, str(sample("one-api.later")))
        assert state(name) == landed


def test_the_later_copy_changes_exactly_what_its_totals_name_new_api(portal: Portal) -> None:
    known = totals("new-api.later")["changes after the first snapshot"]
    with portal() as name:
        imported(name, str(sample("new-api")))
        before = state(name)
        report = imported(name, str(sample("new-api.later")))
        after = state(name)
        assert report["tables"]["users"]["created"] == report["tables"]["tokens"]["created"] == 1
        assert (
            report["totals"]["balances"]["source_quota"]
            == totals("new-api.later")["sums after"]["users (count, quota, used_quota, requests)"][0][1]
        )
        old_keys, new_keys = ({k[12]: k for k in found["keys"]} for found in (before, after))
        dead = {k for k in old_keys if old_keys[k][2] != new_keys[k][2]}
        assert {(new_keys[k][0], new_keys[k][2]) for k in dead} == {
            (known["key deleted"]["user"], "revoked"),
            (known["key disabled"]["user"], "disabled"),
        }
        used = [c for c in after["codes"] if c not in before["codes"]]
        assert [(c[1], c[2]) for c in used] == [("used", known["code redeemed"]["quota"] * 2000)]
        assert _multiplier(name, "new-api/vip") == "0.85"
        assert len(after["calls"]) - len(before["calls"]) == 5241 - 5188
        assert _openings_untouched(before["entries"], after["entries"])
        assert manage(name, "ledger_check").returncode == 0


@pytest.mark.parametrize("share", [0.3, 0.55, 0.8])
def test_r075_killed_in_the_middle_and_run_again_gives_the_same_end_state(
    portal: Portal, share: float, straight: tuple[dict, float]
) -> None:
    """kill -9 of the process after a share of the time a straight run takes; the second run ends where a straight one does."""
    wanted, seconds = straight
    with portal() as name:
        process = support.start_manage(name, "import_source", str(sample("new-api")), "--json")
        time.sleep(seconds * share)
        process.send_signal(signal.SIGKILL)
        process.wait()
        imported(name, str(sample("new-api")))
        found = state(name)
        for part, rows in wanted.items():
            assert found[part] == rows, part
        assert manage(name, "ledger_check").returncode == 0


@pytest.fixture(scope="module")
def straight(empty_portal: str) -> tuple[dict, float]:
    """The end state of an import that nothing disturbed, and how long it took."""
    with support.database(empty_portal) as name:
        start = time.monotonic()
        imported(name, str(sample("new-api")))
        return state(name), time.monotonic() - start


def test_an_upstream_that_is_here_serves_every_imported_model(portal: Portal) -> None:
    with portal() as name:
        missing = manage(name, "import_source", str(sample("one-api")), "--upstream", "demo")
        assert missing.returncode == 1
        assert "[upstream_unknown]" in missing.stderr
        assert state(name)["people"] == []
        _make_upstream(name, "demo")
        report = imported(name, str(sample("one-api")), "--upstream", "Demo")
        assert {"table": "channels", "reason": "served_by_named_upstream", "count": 10} in report["left_out"]
        found = state(name)
        assert {row[0] for row in found["upstreams"]} == {"demo"}
        assert {row[6] for row in found["upstreams"]} == {row[0] for row in found["models"]}
        assert {row[4] for row in found["keys"]} == {"new"}
        assert all(row[4] for row in found["purses"] if row[0])


def test_with_the_old_entry_people_stay_on_the_old_side(portal: Portal) -> None:
    with portal() as name:
        imported(name, str(sample("one-api")), "--old-entry", "http://127.0.0.1:3999/v1")
        found = state(name)
        assert {row[4] for row in found["keys"]} == {"old"}
        assert not any(row[4] for row in found["purses"] if row[0])
        with psycopg.connect(support.conninfo(name)) as db:
            linked = db.execute(
                "SELECT count(*), min(base_url) FROM gateway_keyoldentry JOIN gateway_oldentry e ON e.id = old_entry_id"
            )
            assert linked.fetchone() == (61, "http://127.0.0.1:3999")


def test_the_preset_grant_lands_only_when_asked_for(portal: Portal) -> None:
    with portal() as name:
        report = imported(name, str(sample("one-api")), "--include-preset-grant")
        assert report["totals"]["balances"]["left_out_quota"] == 0
        assert ("root", "prepaid", "import:one-api", 500_000_000_000_000 * 2000, True) in state(name)["purses"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "source_empty"),
        (b"not a database at all" * 50, "source_not_a_database"),
        (None, "source_missing"),
    ],
)
def test_a_wrong_file_gives_one_line_and_writes_nothing(
    portal: Portal, tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "one-api.db"
    if content is not None:
        path.write_bytes(content)
    with portal() as name:
        empty = support.counts(name)
        done = manage(name, "import_source", str(path), "--json")
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"[{code}]" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert support.counts(name) == empty


def test_a_truncated_file_gives_one_line_and_writes_nothing(portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "cut.sqlite3"
    shutil.copyfile(sample("one-api"), path)
    os.truncate(path, path.stat().st_size // 2)
    with portal() as name:
        empty = support.counts(name)
        done = manage(name, "import_source", str(path))
        assert (done.returncode, "[source_damaged]" in done.stderr) == (1, True)
        assert support.counts(name) == empty


def _username(name: str, user_id: int) -> str:
    return next(b[1] for b in _balances(name) if b[0] == user_id)


def _balances(name: str) -> list:
    return totals(name)["balances (user_id, username, group, status, quota, used_quota, request_count)"]


def _multiplier(name: str, group: str) -> str:
    with psycopg.connect(support.conninfo(name)) as db:
        found = db.execute(
            "SELECT multiplier FROM billing_groupmultiplier m JOIN billing_priceversion v ON v.id = m.version_id "
            "WHERE group_code = %s AND payer_group_code = '' ORDER BY v.number DESC LIMIT 1",
            [group],
        ).fetchone()
    assert found is not None
    return format(found[0].normalize(), "f")


def _openings_untouched(before: list, after: list) -> bool:
    """What was posted is still there; what came is corrections and openings of what is new."""
    remaining = list(after)
    for entry in before:
        remaining.remove(entry)
    return bool(remaining) and {entry[0] for entry in remaining} <= {"opening", "opening_correction"}


def _make_upstream(name: str, upstream: str) -> None:
    with psycopg.connect(support.conninfo(name)) as db:
        provider = db.execute(
            "INSERT INTO models_catalog_provider (code, name, protocol, website) "
            "VALUES ('demo', 'Demo', 'openai', '') RETURNING id"
        ).fetchone()
        assert provider is not None
        db.execute(
            "INSERT INTO models_catalog_upstream (name, provider_id, base_url, credential_tail, group_codes, priority, weight, "
            "state, timeout_seconds, note, created_at) "
            "VALUES (%s, %s, 'http://127.0.0.1:9', '', '{}', 0, 1, 'enabled', 60, '', now())",
            [upstream, provider[0]],
        )
