"""Start the whole portal on this machine: ``manage.py up``. PORT, HOST and DEMO come from the environment or as options."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import env
from config.stack import keepsakes, up
from config.stack.binaries import NotFound
from config.stack.places import PlaceError, home
from config.stack.postgres import StartError


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, web, relay, worker and beat, and the demo; Ctrl-C ends them all."
    # The settings in this process lack what the stack is about to bring.
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=env.number("PORT", 8000), help="web; the others follow it (8000)")
        parser.add_argument("--host", default=env.text("HOST") or "127.0.0.1", help="address to listen on (127.0.0.1)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1024 <= options["port"] <= 65_000:
            raise CommandError("PORT must be between 1024 and 65000")
        try:
            stack = up.build(options["port"], options["host"], demo=_demo())
            with up.only_one(home()):
                self._run(stack)
        except (up.UpError, NotFound, StartError, PlaceError) as error:
            raise CommandError(str(error)) from None

    def _run(self, stack: up.Stack) -> None:
        up.catch_signals(stack)
        try:
            stack.start()
            self._greet(stack)
            stack.watch()
        except up.Interrupted:
            stack.say("stopped while starting")
        finally:
            stack.stop()
        stack.say("all ended")

    def _greet(self, stack: up.Stack) -> None:
        port = stack.plan.port
        lines = ["", f"The portal is ready:  http://localhost:{port}", f"Unified entry:        http://localhost:{port}/v1", ""]
        if stack.plan.demo:
            kept = keepsakes.load(stack.plan.home)
            lines += ["Demo logins (they stay the same at the next start):"]
            lines += [f"  {name:<8}  {password}" for name, password in keepsakes.passwords_in(kept).items()]
            lines += ["", "An API key of demo, who has 25 dollars:", f"  {kept.get('demo_api_key', '')}"]
            lines += ["", f"Mails are kept in {stack.plan.home / 'mail'}" if stack.plan.own_mail_sink else ""]
            lines += ["To try a migration: demo/README.md", ""]
        else:
            lines += ["It is empty. Make the first administrator in another terminal:"]
            lines += [f"  {sys.executable} manage.py createsuperuser"]
        lines += [f"Logs are in {stack.plan.home / 'logs'}. Ctrl-C ends everything.", ""]
        print("\n".join(lines), flush=True)
        stack.say("ready")


def _demo() -> bool:
    # Here the demo is what one gets by saying nothing, and an empty word says nothing.
    return env.flag("DEMO", True) if env.text("DEMO") else True
