"""The pure parts of the contract: estimates, usage, order of upstreams, decisions."""

import random
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import BookPrices, PriceTable, RuleFigures, VersionPrices
from gateway.contract.estimate import counted_input, counted_tokens, input_estimate, output_estimate, sound_ms
from gateway.contract.loading import _networks
from gateway.contract.resolve import callable_models, resolve
from gateway.contract.snapshot import Snapshot
from gateway.contract.types import Ask, Candidate, GroupView, KeyView, MappedName, ModelView, UpstreamView
from gateway.contract.usage import reported, reported_by_anthropic
from gateway.relay.client import family_of, presented_key
from gateway.relay.pricing import round_up
from gateway.relay.upstream import order_of, url_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UPSTREAM = UpstreamView(1, "http://up", "sk-secretsecret", frozenset(), 0, 1, 60)
KEY = KeyView(
    id=1, name="k", tail="abcd", state="active", route="new", model_names=None, networks=(), group_id=None,
    auto_group_codes=(), ignores_channel_pin=False, expires_at=None, secret_valid_until=None, secret_revoked_at=None,
    owner_id=7, owner_state="enabled", owner_group_id=1, team_id=None, old_entry_id=None,
)  # fmt: skip


def snapshot() -> Snapshot:
    groups = {1: GroupView(1, "staff", True, ("vip",)), 2: GroupView(2, "vip", True, ()), 3: GroupView(3, "other", True, ())}
    models = {
        "chat": ModelView(1, "chat", "text", None, 0, frozenset({"staff", "vip"})),
        "big": ModelView(2, "big", "text", None, 0, frozenset({"vip"})),
        "open": ModelView(3, "open", "text", None, 0, frozenset({"*"})),
        "dark": ModelView(4, "dark", "text", None, 0, frozenset()),
    }
    rules = {name: RuleFigures(input_nano=1) for name in ("chat", "big", "open", "old-own")}
    early = VersionPrices(1, 1, NOW - timedelta(days=9), rules, {("vip", ""): Decimal(2), ("vip", "staff"): Decimal("1.5")})
    later = VersionPrices(2, 2, NOW + timedelta(hours=1), rules, {})
    special = replace(UPSTREAM, id=2, group_codes=frozenset({"vip"}))
    return Snapshot(
        version=1,
        groups=groups,
        groups_by_code={group.code: group for group in groups.values()},
        models=models,
        names={"old": MappedName("chat", True), "old-own": MappedName("chat", False), "gone": MappedName(None, True)},
        candidates={
            1: (Candidate(UPSTREAM, "chat"),),
            2: (Candidate(special, "big"), Candidate(UPSTREAM, "big")),
            3: (Candidate(special, "open"),),
        },
        prices=PriceTable({1: BookPrices("b", "portal", Decimal(0), (later, early))}, 1, {}),
        old_entries={5: "http://old"},
    )


def decide(model: str, at: datetime = NOW, **changes: object):
    return resolve(snapshot(), replace(KEY, **changes), Ask(model, "198.51.100.7"), at)


def test_names_access_and_prices_of_a_decision():
    plain = decide("chat")
    assert (plain.denial, plain.billed_model, plain.group_code) == (None, "chat", "staff")
    assert [one.upstream_name for one in plain.candidates] == ["chat"]
    assert decide("old").billed_model == "chat"
    assert decide("old-own").billed_model == "old-own"
    assert decide("chat", NOW + timedelta(hours=2)).price.version_id == 2
    pinned = decide("chat", group_id=2)
    assert (pinned.group_code, pinned.price.multiplier) == ("vip", Decimal("1.5"))
    automatic = decide("big", auto_group_codes=("staff", "vip"))
    assert (automatic.group_code, len(automatic.candidates)) == ("vip", 2)


@pytest.mark.parametrize(
    ("model", "changes", "code"),
    [
        ("big", {}, "model_not_available_for_group"),
        ("dark", {}, "model_not_found"),
        ("gone", {}, "model_not_found"),
        ("nothing", {}, "model_not_found"),
        ("open", {}, "model_unavailable"),
        ("chat", {"model_names": frozenset({"old"})}, "model_not_allowed_for_key"),
        ("chat", {"group_id": 3}, "group_not_allowed"),
        ("chat", {"auto_group_codes": ("other", "no-such")}, "group_not_allowed"),
        ("chat", {"networks": (ip_network("10.0.0.0/8"),)}, "network_not_allowed"),
        ("chat", {"networks": _networks(["rubbish"])}, "network_not_allowed"),
        ("chat", {"expires_at": NOW}, "api_key_expired"),
        ("chat", {"secret_revoked_at": NOW, "route": "old"}, "invalid_api_key"),
        ("chat", {"route": "old"}, "old_entry_unavailable"),
    ],
)
def test_refusals(model: str, changes: dict[str, object], code: str):
    assert decide(model, **changes).denial.code == code


def test_a_key_that_may_call_an_old_name_may_call_it_by_either_rule():
    assert decide("old", model_names=frozenset({"old"})).is_allowed
    assert decide("old", model_names=frozenset({"chat"})).is_allowed
    assert decide("chat", networks=(ip_network("198.51.100.0/24"),)).is_allowed


def test_the_list_of_models_holds_exactly_what_is_admitted():
    state = snapshot()
    listed = {name for name, _ in callable_models(state, KEY, NOW)}
    assert listed == {name for name in (*state.models, *state.names) if decide(name).is_allowed} == {"chat", "old", "old-own"}


def test_secrets_are_not_in_the_text_of_a_snapshot():
    assert "sk-secret" not in repr(snapshot())
    assert "sk-secret" not in repr(decide("chat"))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**12}, None),
        ({"prompt_tokens": 5, "total_tokens": 5}, (5, 0, 0, 0)),
        ({"prompt_tokens": 5, "total_tokens": 9}, (5, 4, 0, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, (5, 3, 5, 0)),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": None, "prompt_cache_hit_tokens": 2},
            (5, 3, 2, 0),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 2}}, (5, 3, 0, 2)),
    ],
)
def test_reported_usage_is_checked(usage: object, expected: tuple[int, ...] | None):
    found = reported(usage)
    assert (found and (found.input, found.output, found.cached, found.reasoning)) == expected


def test_anthropic_s_counts_are_added_up_only_while_their_sum_can_be_true():
    told = {"input_tokens": 10**9, "output_tokens": 5}
    assert reported_by_anthropic(told).input == 10**9
    assert reported_by_anthropic({**told, "cache_read_input_tokens": 1}) is None
    assert reported_by_anthropic({"input_tokens": 10**9 + 1}) is None


def wave(rate: int, channels: int, bits: int, told: int, block: int) -> bytes:
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, channels, rate, told, block, bits) + b"data"


def test_the_length_of_a_sound_is_what_it_may_be_whatever_its_first_bytes_claim():
    second = 16_000 * 2
    assert sound_ms(wave(16_000, 1, 16, second, 2), 10 * second) == 10_001
    # A client that claims many bytes a second in one place is not believed while another place says less.
    assert sound_ms(wave(16_000, 1, 16, 4_000_000_000, 2), 10 * second) == 10_001
    assert sound_ms(wave(16_000, 1, 16, 4_000_000_000, 60_000), 10 * second) == 10_001
    # Packed sound: a block is many samples, and what a second takes is told.
    assert sound_ms(wave(8_000, 1, 4, 4_055, 256), 40_550) == 10_138
    # What says nothing, or puts something before its format, is taken for the smallest sound there is.
    for odd in (b"", b"RIFF\0\0\0\0WAVEJUNK" + b"\0" * 40, wave(0, 0, 0, 0, 0), b"ID3" + b"\0" * 60):
        assert sound_ms(odd, 20_000) == 10_001
    assert sound_ms(wave(1, 1, 8, 1, 1), 60_000_000) == 86_400_000


def test_estimates_know_choices_limits_and_attachments():
    assert output_estimate({}, None) == 4096
    assert output_estimate({}, 1000) == 1000
    assert output_estimate({"max_tokens": 50, "n": 3}, 1000) == 150
    assert output_estimate({"max_tokens": 50, "max_completion_tokens": 90}, None) == 90
    assert output_estimate({"max_tokens": 10**9}, 8000) == 8000
    assert output_estimate({"max_tokens": -5, "n": "many"}, None) == 4096
    # As an upstream reads them that takes texts and fractions for numbers.
    for asked in ("50", " 50 ", 50.0, 49.5):
        assert output_estimate({"max_tokens": asked, "n": "3"}, 1000) == 150
    for asked in ("9" * 6000, 10**30, 1e300):
        assert output_estimate({"max_tokens": asked}, 8000) == 8000
        assert output_estimate({"max_tokens": asked, "n": asked}, None) == 10**10
    for asked in ("²", "0x10", "", True, float("inf"), [50]):
        assert output_estimate({"max_tokens": asked}, None) == 4096
    assert output_estimate({}, 8000, has_output=False) == 0
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900_000}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}]}
    assert 2_000 < input_estimate(body, 900_100) < 2_200
    assert 2_000 < counted_input(body) < 2_050


@given(st.text(max_size=400))
def test_the_estimate_before_is_never_below_the_count_after(text: str):
    import orjson

    try:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        size = len(orjson.dumps(body))
    except TypeError:  # half a surrogate pair is no text that JSON can carry
        return
    assert input_estimate(body, size) >= counted_input(body) - counted_tokens(8, 0)


@given(st.integers(min_value=0, max_value=10**9))
def test_rounding_up_adds_an_eighth_at_most(tokens: int):
    assert tokens <= round_up(tokens) <= tokens + tokens // 8 + 1


def test_upstreams_are_tried_by_priority_then_by_weight():
    random.seed(5)
    views = [replace(UPSTREAM, id=n, priority=p, weight=w) for n, p, w in ((1, 0, 1), (2, 5, 1), (3, 5, 9), (4, 0, 0))]
    candidates = [Candidate(view, "m") for view in views]
    firsts = [order_of(candidates)[0].upstream.id for _ in range(500)]
    assert set(firsts) == {2, 3}
    assert 400 < firsts.count(3) < 490
    assert all({one.upstream.id for one in order_of(candidates)[:2]} == {2, 3} for _ in range(20))


def test_addresses_keys_and_families():
    assert str(url_of("http://up/v1", "/v1/embeddings")) == "http://up/v1/embeddings"
    assert str(url_of("http://up", "/v1/embeddings")) == "http://up/v1/embeddings"
    assert presented_key({b"authorization": b"bearer   sk-a"}) == "sk-a"
    assert presented_key({b"authorization": b"Bearer", b"api-key": b" k "}) == "k"
    assert presented_key({b"authorization": b"bearerX"}) == "bearerX"
    assert presented_key({}) == ""
    assert family_of(b"OpenAI/Python 3.5") == "openai-python"
    assert family_of(b"something/1") == "other"
