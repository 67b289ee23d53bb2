"""The processes of the portal, in starting order: what a service manager would run in production, and the demo's extras."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.stack import places
from config.stack.processes import Child
from config.stack.serving import RELAY_APP, WEB_APP, http_server

WEB, RELAY, UPSTREAM, OLD_GATEWAY, MAIL = range(5)


@dataclass(frozen=True, slots=True)
class Plan:
    """``port`` is the web port; the others follow it."""

    port: int
    host: str
    demo: bool
    own_mail_sink: bool
    home: Path

    def ports(self) -> dict[int, str]:
        """Every port that will be used, with the name of its user."""
        used = {WEB: "web", RELAY: "relay"}
        if self.demo:
            used |= {UPSTREAM: "demo upstream", OLD_GATEWAY: "demo old gateway"}
        if self.own_mail_sink:
            used[MAIL] = "mail sink"
        return {self.port + offset: name for offset, name in used.items()}


def children(plan: Plan, env: Mapping[str, str]) -> list[Child]:
    """In starting order: what others need comes first. They are ended in the reverse order."""
    logs = plan.home / "logs"
    options = {"cwd": places.CHECKOUT}

    def child(name: str, *command: str, grace: float = 15.0) -> Child:
        return Child(name, [sys.executable, "-m", *command], logs / f"{name}.log", env, grace=grace, options=options)

    lineup = []
    if plan.own_mail_sink:
        folder = str(plan.home / "mail")
        lineup.append(child("mail", "config.stack.mail_sink", "--port", str(plan.port + MAIL), "--folder", folder))
    if plan.demo:
        lineup.append(child("upstream", "gateway.demo_upstream", "--port", str(plan.port + UPSTREAM)))
        lineup.append(child("old-gateway", "gateway.demo_old_gateway", "--port", str(plan.port + OLD_GATEWAY)))
    # The worker may have an import in hand: it gets time to reach a place from which it can go on.
    lineup.append(child("worker", "celery", "-A", "config", "worker", "--loglevel", "info", "--concurrency", "2", grace=30))
    schedule = str(plan.home / "beat-schedule")
    lineup.append(child("beat", "celery", "-A", "config", "beat", "--loglevel", "info", "--schedule", schedule))
    relays = int(env.get("RELAY_PROCESSES") or "1")
    lineup.append(child("relay", *http_server(RELAY_APP, plan.host, plan.port + RELAY, processes=relays)))
    lineup.append(child("web", *http_server(WEB_APP, plan.host, plan.port + WEB)))
    return lineup
