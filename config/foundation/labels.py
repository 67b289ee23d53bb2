"""Who may see which field (R098): a field without a label cannot be serialised, and no answer goes beyond its audience.

Labels rise: what the public may see everybody may, what operators see nobody below them does. ``SECRET`` is shown to
nobody, except once in the answer that creates it.
"""

from dataclasses import dataclass
from enum import IntEnum


class Label(IntEnum):
    PUBLIC = 0
    CUSTOMER = 1
    SUPPORT = 2
    OPERATOR = 3
    SECRET = 4


@dataclass(frozen=True, slots=True)
class FieldLabel:
    """The lowest audience that sees a field, and why."""

    label: Label
    why: str


def _fields(**groups: tuple[str, str]) -> dict[str, FieldLabel]:
    """``customer=("id name", "why")`` gives both fields that label; naming a field twice is a mistake."""
    found: dict[str, FieldLabel] = {}
    for label, (names, why) in groups.items():
        for name in names.split():
            if name in found:
                raise ValueError(f"{name} has two labels")
            found[name] = FieldLabel(Label[label.upper()], why)
    return found


LABELS: dict[str, dict[str, FieldLabel]] = {
    "person": _fields(
        customer=(
            "id username email display_name role language time_zone billing_group state date_joined",
            "a person's own account; others see it with the right people.view",
        ),
        support=("last_login", "tells whether somebody is still there"),
        secret=("password", "never leaves the database"),
    ),
    "group": _fields(
        customer=("id code name kind description is_active member_count", "members know their team"),
        operator=("usable_codes", "names of other groups are no customer's business"),
    ),
    "task": _fields(
        customer=(
            "id request_id kind state progress created_at finished_at model billed_model endpoint user_id team_id key_id "
            "key_tail parameters parameters_hash reference_count template_id template_number held cost item_count delivered_ms "
            "delivered_size failure_code failure_reason assets assets_expire_at",
            "the payer's own task; prompts are in none of its fields",
        ),
        operator=("upstream_id upstream_name upstream_task_id doubt", "the inner route"),
    ),
    "task_callback": _fields(customer=("id event_id kind address state attempts", "what the payer asked to be told")),
    "preflight": _fields(customer=("model is_accepted targets", "whether one's own request would be taken")),
    "preflight_verdict": _fields(customer=("name is_described is_accepted problems", "targets by number, below operators")),
    "preflight_problem": _fields(customer=("field allowed", "what a request may ask for")),
    "task_template": _fields(customer=("id team_id name kind is_active versions", "the team's own")),
    "task_template_version": _fields(
        customer=("number model_name parameters note created_at created_by", "the team's own; members know each other")
    ),
    "membership": _fields(customer=("user_id username team_role created_at", "members of a team know each other")),
    "audit_event": _fields(
        operator=(
            "id at actor_name action object_type object_id object_label before after reason request_id",
            "the trail names people and their acts",
        )
    ),
    "provider": _fields(operator=("id code name protocol website", "who serves is part of the inner route")),
    "model": _fields(
        customer=(
            "id name display_name modality capabilities context_tokens max_output_tokens is_active",
            "what can be called is told to those who may call it",
        ),
        operator=("group_codes note", "rights of other groups, remarks of the operator"),
    ),
    "upstream": _fields(
        operator=(
            "id name provider base_url credential_tail group_codes priority weight state timeout_seconds note served_models",
            "the inner route: vendor, host, order and weight",
        ),
        secret=("credential credential_sealed", "goes in and never comes out"),
    ),
    "served_model": _fields(operator=("model upstream_name", "the inner route")),
    "name_map_entry": _fields(
        customer=("old_name kind callable_name bill_as_called since_version", "callers must know what a name leads to"),
        operator=("reason approved_by", "who decided, and why"),
    ),
    "name_map_version": _fields(operator=("number created_at created_by reason", "who published, and why")),
    "key": _fields(
        customer=(
            "id name purpose owner_id team_id member_id state state_reason route model_names profile_id networks group_code "
            "expires_at created_at last_used_at secrets",
            "the owner's own key",
        ),
        secret=("clear digest", "the whole key is in one answer, the one that made it"),
    ),
    "key_secret": _fields(
        customer=("id tail origin created_at valid_until revoked_at", "the tail tells secrets apart"),
        secret=("digest pepper_number", "never leaves the database"),
    ),
    "access": _fields(
        support=(
            "verdict rule http_status error_code message route key_id asked_model billed_model group_code record at read_at "
            "config_version relays_behind looked_at_money is_past has_rule_changed may_have_differed changed_since held "
            "available",
            "why a call is refused, for those who are asked",
        ),
    ),
    "proof": _fields(
        support=(
            "id state map_version created_at ended_at total_count green_count red_count",
            "whether the names of the map work",
        )
    ),
    "proof_result": _fields(
        support=(
            "name called_name feature state cause http_status error_code answered_as request_id",
            "which name does not work, and why",
        )
    ),
    "trial": _fields(customer=("team_id kind state check_state produced_at items", "members know how far their project is")),
    "trial_item": _fields(
        customer=("code state cause error_code request_id checked_at", "what a check has shown of one's own project")
    ),
    "access_change": _fields(support=("at action object by", "what changed since the call that is asked about")),
    "access_record": _fields(support=("kind id name url changed_at", "where the rule stands")),
    "use_profile": _fields(
        customer=(
            "id team_id use name alias default_model model_names parameters key_count created_at changed_at",
            "what those who call it must know",
        ),
    ),
    "key_limit": _fields(customer=("limit spent held", "the owner's own allowance")),
    "limit": _fields(
        customer=("of kind unit limit used held left resets_at time_zone refusal", "what may stop one's own calls"),
    ),
    "purse": _fields(
        customer=("id kind origin balance held credit_limit available is_spendable", "the owner's own money"),
    ),
    "balance": _fields(customer=("user_id total available held purses", "the owner's own money")),
    "ledger_line": _fields(
        customer=(
            "entry_id transaction_id kind purse_id purse_kind origin amount balance_after booked_at effective_at reason",
            "the owner's own movements",
        ),
    ),
    "posting": _fields(operator=("entry_id transaction_id kind status", "answers those who book")),
    "redeemed": _fields(customer=("amount purse_kind", "the person's own code")),
    "code_batch": _fields(
        operator=(
            "id name purse_kind amount code_count expires_at ends max_per_person note created_at created_by exported_at states",
            "what was given out, and by whom",
        ),
        secret=("codes", "the clear codes are in one answer, the one that takes them"),
    ),
    "code_state": _fields(operator=("state count amount", "what was given out")),
    "code": _fields(
        operator=("id tail state amount purse_kind used_at used_by", "the tail tells codes apart"),
    ),
    "codes_changed": _fields(operator=("count", "answers those who manage codes")),
    "revaluation": _fields(
        operator=("count paused_count old_total new_total difference is_done request_id", "answers those who manage codes")
    ),
    "approval": _fields(
        operator=(
            "id kind state amount currency purse_id entry_id batch_id reason evidence_url requested_by requested_at is_alone "
            "decided_by decided_at decision_note by_override transaction_id",
            "who asked and who said yes is for those who may say it",
        ),
    ),
    "statement": _fields(
        customer=(
            "id number month username team currency time_zone starts_at ends_at opening credits usage expiry adjustments "
            "earlier closing issued_at lines files",
            "one's own months, and those of teams one owns",
        ),
    ),
    "statement_issued": _fields(operator=("status id", "answers those who issue")),
    "payment": _fields(
        customer=(
            "id username provider state amount refunded currency entry_id created_at paid_at",
            "the payer's own payments",
        ),
    ),
    "payment_refund": _fields(
        operator=(
            "id payment_id unmatched_id state amount reason provider_refund_id attempts error by entry_id created_at closed_at",
            "who sent money back, and how far it is",
        ),
    ),
    "unmatched_payment": _fields(
        operator=(
            "id source provider reference why amount_minor currency booked payer received_at payment_id state username team "
            "entered_by closed_by closed_at reason",
            "money whose owner finance looks for",
        ),
    ),
    "dispute": _fields(
        operator=(
            "id payment_id provider_dispute_id state provider_state reason amount opened_at due_at closed_at note",
            "what finance answers at the provider",
        ),
    ),
    "call_refund": _fields(operator=("id call_id amount reason by created_at", "who gave what back, and why")),
    "conversion": _fields(
        operator=(
            "id username team from_currency to_currency given received rounding rate_numerator rate_denominator reason by "
            "created_at",
            "who converted what, and at which rate",
        ),
    ),
    "desk_item": _fields(
        operator=(
            "id kind state reason call_id username team amount settled opened_at closed_at note",
            "what waits for finance",
        ),
    ),
    "alert": _fields(customer=("id kind phase subject threshold value fired_at", "what one asked to be told")),
    "alert_rule": _fields(
        customer=(
            "id kind username team key_id thresholds channels is_enabled pauses_key created_at",
            "what one asked to be told, and about what of one's own",
        ),
    ),
    "hook": _fields(
        customer=("id username team purpose url secret_tail is_active created_at", "one's own addresses"),
        secret=("clear", "the signing secret is in one answer, the one that made it"),
    ),
    "fence": _fields(operator=("group_id group_code highest_tier also_allowed stopped", "what other groups may call")),
    "policy": _fields(customer=("issuers team_money text", "who is bound by it may read it")),
    "usage": _fields(customer=("user_id days models total", "the person's own usage")),
    "usage_day": _fields(
        customer=(
            "day call_count failed_count input_tokens cached_tokens output_tokens cost by_model",
            "the person's own usage",
        ),
    ),
    "call": _fields(
        customer=(
            "id started_at duration_ms first_token_ms key_id key_name key_tail endpoint is_stream asked_model billed_model "
            "served_model outcome http_status error_code input_tokens cached_tokens cache_write_tokens output_tokens "
            "reasoning_tokens modality audio_input_tokens audio_output_tokens image_count media_ms character_count media_size "
            "media_quality usage_source held cost price_detail client_family client_network origin repeat",
            "one's own calls, one row each, without what was asked and answered",
        ),
        support=("user_id username group_code", "whose call it is"),
        operator=("route attempts price_version_id source_ref fallback_rule_id", "the inner route"),
    ),
    "repeat": _fields(
        customer=(
            "count cost failed_count first_at last_at told_by request_ids calls",
            "one's own calls that are the same again",
        ),
    ),
    "price": _fields(
        customer=("model_name basis input cached_input output per_call others", "what a call costs the person who asks"),
    ),
    "outcome_rule": _fields(customer=("event reported counted", "what a call costs the person who asks, by how it ended")),
    "price_book": _fields(operator=("id code name formula quota_per_unit is_default", "prices of all groups")),
    "price_version": _fields(
        operator=("id book number valid_from published_at created_by note rules multipliers", "prices of all groups")
    ),
    "price_rule": _fields(
        operator=(
            "model_name basis input cached_input cache_write output per_call per_item minimum reasoning audio_input "
            "audio_output characters units rounding rounded_to source_figures",
            "prices of all groups",
        ),
    ),
    "multiplier": _fields(operator=("group_code payer_group_code multiplier", "multipliers of all groups")),
    "source": _fields(
        support=("id code name product kind quota_per_unit created_at", "where people come from"),
        operator=("address", "a host inside the operator's network"),
        secret=("dsn password", "read from a variable or a form, kept nowhere"),
    ),
    "import_run": _fields(
        support=("id source state started_by created_at applied_at report progress error", "what was carried over"),
        operator=("options", "decisions of the operator"),
    ),
    "import_issue": _fields(
        support=("kind table row_id label reason detail", "answers why something of a person is not here"),
    ),
    "plan": _fields(support=("id name source created_at", "the order of the move")),
    "wave": _fields(
        support=(
            "id plan number name state planned_at window_hours observation_hours switched_at gone_back_at member_count",
            "when people move",
        ),
    ),
    "wave_key": _fields(
        support=(
            "key_id name username choice is_live unconfirmed_relays adopted_at client old_calls",
            "what becomes of a key, and whether its client has moved",
        )
    ),
    "wave_member": _fields(
        support=("user_id username state opening spent closed switched_at back_at", "what becomes of a person's money")
    ),
    # What data planes are told: the operator's machines, each with a token of its own.
    "plane_config": _fields(operator=("version signed_at models names groups settings", "the inner route")),
    "plane_model": _fields(
        operator=("public_name modality max_output_tokens created groups price_id channels", "rights and prices of all groups")
    ),
    "plane_channel": _fields(
        operator=(
            "id protocol base_url secret_ref upstream_model weight priority timeout_seconds groups",
            "the inner route; the credential itself is not in it",
        )
    ),
    "plane_name": _fields(operator=("name model successor", "the whole name map")),
    "plane_group": _fields(operator=("code is_active usable", "names of all groups")),
    "plane_settings": _fields(
        operator=("hold_seconds late_event_days max_events max_stale_seconds", "how the contract is kept")
    ),
    "plane_account": _fields(operator=("kind id", "who pays")),
    "plane_keys": _fields(operator=("rows gone is_reset has_more cursor", "keys of everybody, as digests")),
    "plane_key": _fields(
        operator=(
            "key_hash hash_number key_id tail account group groups status route expires_at models networks rpm tpm parallel",
            "a data plane recognises a key by the digest of its secret; the key itself is never told",
        )
    ),
    "plane_resolved": _fields(operator=("public_name billed_name channels", "the inner route")),
    "plane_decision": _fields(
        operator=(
            "decision request_id key_id account resolved price_id reservation_id reserved_nano expires_at ttl http_status code "
            "body retry_after_seconds",
            "what a data plane does with one call",
        )
    ),
    "plane_event_answer": _fields(operator=("event_id status reason retryable", "what became of an event")),
    "plane_usage": _fields(operator=("results ack_seq", "what became of a batch")),
    "plane_rate": _fields(operator=("name call_nano input_nano output_nano", "prices of a group")),
    "plane_lease": _fields(
        operator=("lease_id status granted_nano draw_until expires_at rates", "money of a payer that a data plane may spend")
    ),
    "plane_lease_closed": _fields(operator=("lease_id status returned_nano", "money of a payer that comes back")),
    "plane_leases": _fields(operator=("open renew close", "what became of leases")),
    "plane_heartbeat": _fields(operator=("wanted wanted_at server_time clock_ms", "what is wanted of a process")),
    "plane_figures": _fields(operator=("calls input_tokens output_tokens", "figures of all accounts together")),
    "plane_difference": _fields(operator=("hour_at channel_id told ours", "figures of all accounts together")),
    "plane_reconcile": _fields(operator=("compared differences", "figures of all accounts together")),
    "plane_secret": _fields(secret=("value", "an upstream's credential, for a data plane that was given the right to read it")),
}


class LabelError(Exception):
    """A serializer names a field that has no label, or one beyond its audience."""


def check(object_name: str, names: list[str], audience: Label, shown_once: frozenset[str] = frozenset()) -> None:
    """Raise LabelError unless every field has a label that this audience may see; ``shown_once`` names the exceptions."""
    labels = LABELS.get(object_name)
    if labels is None:
        raise LabelError(f"{object_name} has no labels")
    for name in names:
        if name not in labels:
            raise LabelError(f"{object_name}.{name} has no label")
        if labels[name].label > audience and name not in shown_once:
            raise LabelError(f"{object_name}.{name} is {labels[name].label.name}, not for {audience.name}")
