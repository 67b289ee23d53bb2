"""How web and relay are served: the one command for production, the bundled stack, tests and measurements.

``python -m config.stack.serving relay --port 8001 --processes 4`` starts it from a shell.
"""

import argparse
import os
import sys

WEB_APP = "config.asgi:application"
RELAY_APP = "gateway.relay.app:application"
# Open calls may end within this after a request to stop; then they are cut, and settled as cut.
GRACE_SECONDS = 4


def http_server(app: str, host: str, port: int, *, processes: int = 1) -> list[str]:
    """Arguments of ``python -m`` for a server of ``app``."""
    place = ["--host", host, "--port", str(port), "--workers", str(processes)]
    how = ["--http", "config.http_server.connection:HttpConnection", "--loop", "uvloop", "--ws", "none", "--interface", "asgi3"]
    # Who the client is behind a proxy, the application decides by its own setting.
    less = ["--no-proxy-headers", "--no-access-log"]
    return ["uvicorn", *place, *how, *less, "--timeout-graceful-shutdown", str(GRACE_SECONDS), "--lifespan", "on", app]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["web", "relay"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    app = RELAY_APP if given.what == "relay" else WEB_APP
    command = [sys.executable, "-m", *http_server(app, given.host, given.port, processes=given.processes)]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
