"""One row and more of everything the portal keeps, with planted secrets that no page and no answer may show."""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import Group, GroupMembership, OutboundMail, Role, User
from accounts.services import invitations, people, teams
from billing.models import (
    AdjustmentRequest,
    BreakGlass,
    CodeBatch,
    GroupBook,
    GroupMultiplier,
    Hold,
    IncomingPayment,
    Lease,
    LedgerAccount,
    LedgerEntry,
    Payment,
    PaymentEvent,
    PaymentRefund,
    PriceBook,
    PriceRule,
    PriceVersion,
    RedemptionCode,
    RequestLog,
)
from billing.services.budgets import set_key_limit
from billing.services.ledger import house_account
from config.foundation.ids import uuid7, uuid7_time
from gateway.models import (
    DataPlaneInstance,
    EntryPoint,
    KeyConfirmation,
    KeyWatch,
    OldEntry,
    PlaneEvent,
    ProofResult,
    ProofRun,
    RelayInstance,
    TrialItem,
    TrialList,
)
from gateway.models_tasks import MediaTask, TaskTemplate
from gateway.services.planes import create_plane
from keys.models import ApiKey
from keys.services import import_secret, issue_key
from keys.services_profiles import create_profile
from migrations_center.models import ImportIssue, ImportRun, Plan, Source, Wave, WaveEvent, WaveMember
from models_catalog import services as catalog
from models_catalog.models import AIModel, Upstream, UpstreamModel

CREDENTIAL = "upstream-canary-0123456789abcdef-wxyz"
OLD_SECRET = "oldcanary" + "A1b2C3d4E5" * 3
PASSWORD = "canary-password-correct-horse"
STAFF = (Role.ADMIN, Role.OPS, Role.SUPPORT, Role.FINANCE)


@dataclass
class World:
    people: dict[str, User] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    things: dict[str, Any] = field(default_factory=dict)


def build(tag: str = "one", world: World | None = None) -> World:
    """A world, or one more row of everything in the one given; ``tag`` keeps names apart."""
    world = world or World()
    for role in Role.values:
        if role not in world.people:
            world.people[role] = people.create_person(
                actor=None, username=f"{role}-person", email=f"{role}@example.org", role=role, password=PASSWORD
            )
    customer = people.create_person(actor=None, username=f"customer-{tag}", email=f"customer-{tag}@example.org")
    world.things["customer"] = customer
    _people(tag, world, customer)
    _catalog(tag, world)
    _keys(tag, world, customer)
    _prices(tag, world)
    _money(tag, world, customer)
    _migration(tag, world, customer)
    return world


def _people(tag: str, world: World, customer: User) -> None:
    admin = world.people[Role.ADMIN]
    team = teams.create_team(actor=admin, name=f"Team {tag}", code=f"team-{tag}", owner=customer)
    teams.add_member(actor=admin, group=team, person=world.people[Role.USER])
    trial = TrialList.objects.create(team=team, kind="text")
    TrialItem.objects.create(trial=trial, code="base_url")
    world.things["trial"] = trial
    invitation = invitations.invite(actor=admin, email=f"new-{tag}@example.org")
    world.things |= {
        "group": team,
        "membership": GroupMembership.objects.filter(group=team).first(),
        "invitation": invitation,
        "mail": OutboundMail.objects.latest("created_at"),
    }


def _catalog(tag: str, world: World) -> None:
    provider = catalog.create_provider(actor_name="ops-person", code=f"provider-{tag}", name=f"Provider {tag}")
    upstream = catalog.create_upstream(
        actor_name="ops-person",
        name=f"upstream {tag}",
        provider=provider,
        base_url="http://upstream:3000",
        credential=CREDENTIAL,
    )
    models = catalog.ensure_models(
        actor_name="ops-person", models=[catalog.ModelFigures(f"model-{tag}"), catalog.ModelFigures(f"hidden-{tag}")]
    )
    model = models[f"model-{tag}"]
    catalog.serve_model(actor_name="ops-person", upstream=upstream, model=model)
    catalog.set_access(actor_name="ops-person", model=model, group_codes=["*"])
    catalog.set_access(actor_name="ops-person", model=models[f"hidden-{tag}"], group_codes=["nobody"])
    version = catalog.publish_name_map(
        actor_name="ops-person", changes=[catalog.NameChange(f"old-{tag}", "alias", model.name)], reason="start"
    )
    assert version is not None
    world.things |= {
        "provider": provider,
        "upstream": Upstream.objects.get(pk=upstream.pk),
        "model": AIModel.objects.get(pk=model.pk),
        "version": version,
        "entry": version.entries.get(),
    }
    world.secrets.append(CREDENTIAL)


def _keys(tag: str, world: World, customer: User) -> None:
    key, clear = issue_key(actor=None, owner=customer, name=f"key {tag}")
    secret = f"{OLD_SECRET}{tag}"
    import_secret(key=key, bare=secret)
    world.things["limit"] = set_key_limit(actor=None, key=key, limit_nano=5_000_000_000)
    world.secrets += [clear, clear.removeprefix("sk-"), secret]
    world.things["key"] = ApiKey.objects.get(pk=key.pk)
    proof = world.things["proof"] = ProofRun.objects.create(started_by=world.people[Role.OPS], key=key, state="done")
    ProofResult.objects.create(run=proof, name=f"old-{tag}", called_name=f"old-{tag}", feature="plain", state="green")
    world.things["watch"] = KeyWatch.objects.create(key_id=key.pk, asked_at=timezone.now())
    said = {"fingerprint": "f" * 64, "config_version": 1, "confirmed_at": timezone.now()}
    KeyConfirmation.objects.create(relay=f"relay-{tag}", key_id=key.pk, **said)
    world.things["profile"] = create_profile(
        actor=None,
        team=world.things["group"],
        use="coding",
        name=f"Profile {tag}",
        alias=f"coding-{tag}",
        default_model=f"model-{tag}",
    )


def _prices(tag: str, world: World) -> None:
    book = PriceBook.objects.create(code=f"book-{tag}", name=f"Book {tag}")
    version = PriceVersion.objects.create(book=book, number=1, valid_from=timezone.now())
    rule = PriceRule.objects.create(version=version, model_name=f"model-{tag}", input_nano=2_500_000_000)
    GroupMultiplier.objects.create(version=version, group_code="default", multiplier=Decimal(1))
    PriceVersion.objects.filter(pk=version.pk).update(published_at=timezone.now())
    price_class = Group.objects.create(code=f"source-{tag}/vip", name="vip", kind=Group.Kind.PRICE_CLASS)
    group_book = GroupBook.objects.create(group=price_class, book=book)
    world.things |= {"book": book, "price_version": version, "rule": rule, "group_book": group_book}


def _money(tag: str, world: World, customer: User) -> None:
    house = house_account("cash")
    purse = LedgerAccount.objects.create(
        kind="prepaid", user=customer, is_purse=True, balance_nano=12_345_678_900, held_nano=500, priority=30, seq=1
    )
    now = timezone.now()
    entry = LedgerEntry.objects.create(
        transaction_id=uuid.uuid4(),
        kind="top_up",
        from_account=house,
        to_account=purse,
        amount_nano=12_345_678_900,
        to_seq=1,
        to_balance_nano=12_345_678_900,
        effective_at=now,
    )
    key = world.things["key"]
    hold = Hold.objects.create(
        id=uuid7(),
        user=customer,
        key=key,
        amount_nano=500,
        account_ids=[purse.pk],
        part_amounts=[500],
        expires_at=now + timedelta(minutes=15),
    )
    lease = Lease.objects.create(
        id=uuid7(),
        source="relay",
        user=customer,
        account=purse,
        granted_nano=500,
        draw_until=now + timedelta(minutes=2),
        expires_at=now + timedelta(minutes=15),
    )
    code = RedemptionCode.objects.create(
        digest=uuid.uuid4().bytes * 2, pepper_number=1, tail=f"c{tag[:3]:0>3}", amount_nano=7_000_000_000
    )
    # Somebody who is none of the people that look at it: nobody decides about what they asked for.
    maker = User.objects.create_user(username=f"second-finance-{tag}", role=Role.FINANCE, is_staff=True)
    batch = CodeBatch.objects.create(name=f"Batch {tag}", purse_kind="bonus", amount_nano=10**9, code_count=1, created_by=maker)
    approval = AdjustmentRequest.objects.create(
        kind="adjustment", purse=purse, amount_nano=10**9, reason="typed wrong", requested_by=maker
    )
    override = BreakGlass.objects.create(
        user=world.people[Role.ADMIN],
        reason="nobody else is there",
        opened_at=now,
        expires_at=now + timedelta(minutes=30),
        reviewed_at=now,
        reviewed_by=maker,
    )
    payment = Payment.objects.create(user=customer, provider="stripe", amount_nano=10**10, state="paid", entry=entry)
    event = PaymentEvent.objects.create(provider="stripe", event_id=f"evt_{tag}", event_type="x", payload="{}", state="done")
    incoming = IncomingPayment.objects.create(
        source="transfer", reference=f"r-{tag}", why="transfer", amount_minor=500, currency="EUR", received_at=now
    )
    refund = PaymentRefund.objects.create(payment=payment, amount_nano=10**9, reason="x", state="done")
    world.things |= {"payment": payment, "payment_event": event, "incoming": incoming, "payment_refund": refund}
    world.things |= {"code_batch": batch, "approval": approval, "override": override}
    request_id = uuid7()
    call = RequestLog.objects.create(
        id=request_id,
        started_at=uuid7_time(request_id),
        user=customer,
        key=key,
        key_name=key.name,
        key_tail=key.secrets.first().tail,
        asked_model=f"model-{tag}",
        billed_model=f"model-{tag}",
        served_model=f"model-{tag}",
        outcome="ok",
        http_status=200,
        cost_nano=2_000_000,
        attempts=[{"upstream": 4711, "status": 200, "ms": 12}],
    )
    world.things |= {"account": purse, "ledger_entry": entry, "hold": hold, "lease": lease, "code": code, "call": call}


def _migration(tag: str, world: World, customer: User) -> None:
    old_entry = OldEntry.objects.create(name=f"old {tag}", base_url=f"https://old-{tag}.example.org")
    world.things["target"] = UpstreamModel.objects.select_related("model").order_by("-pk")[0]
    at = timezone.now()
    world.things["task"] = MediaTask.objects.create(
        id=uuid7(), kind="video", state="completed", user=customer, asked_model=f"model-{tag}", created_at=at, finished_at=at
    )
    world.things["template"] = TaskTemplate.objects.create(
        team=Group.objects.filter(kind="team").order_by("-pk")[0], name=f"template-{tag}", kind="video"
    )
    relay = RelayInstance.objects.create(name=f"relay-{tag}", started_at=timezone.now(), seen_at=timezone.now())
    plane, token = create_plane(actor=None, name=f"engine {tag}", kind="litellm")
    world.secrets.append(token)
    plane_event = PlaneEvent.objects.create(
        plane=plane,
        source="engine-0",
        event_id=f"event-{tag}",
        fingerprint=b"x" * 16,
        status="accepted",
        received_at=timezone.now(),
    )
    world.things |= {
        "plane": plane,
        "plane_instance": DataPlaneInstance.objects.create(plane=plane, name="engine-0", seen_at=timezone.now()),
        "plane_event": plane_event,
    }
    entry_point = EntryPoint.objects.create(
        name=f"entry {tag}",
        url=f"https://{tag}.example.org",
        host=f"{tag}.example.org",
        address=f"{tag}.example.org",
        owner=world.people[Role.OPS],
    )
    source = Source.objects.create(
        code=f"source-{tag}", name=f"Source {tag}", product="one_api", kind="file", fingerprint=tag, old_entry=old_entry
    )
    run = ImportRun.objects.create(source=source, state="applied", report={"product": "one_api"})
    ImportIssue.objects.create(run=run, kind="left_out", table="users", row_id="1", reason="preset_grant")
    plan = Plan.objects.create(name=f"Plan {tag}", source=source, created_by=world.people[Role.OPS])
    wave = Wave.objects.create(plan=plan, number=1, name=f"Batch {tag}")
    member = WaveMember.objects.create(wave=wave, user=customer)
    WaveEvent.objects.create(wave=wave, from_state="draft", to_state="ready", actor_name="ops-person")
    world.things |= {
        "old_entry": old_entry,
        "relay": relay,
        "entry_point": entry_point,
        "source": source,
        "run": run,
        "plan": plan,
        "wave": wave,
        "member": member,
    }
