"""Run one command with the servers up: ``python -m config.stack.run [--keep | --durable] -- pytest -x``.

Starts what DATABASE_URL and REDIS_URL do not name, exports both, runs the command, stops what it started and returns the
command's exit code. Without ``--keep`` the data are temporary and written without waiting for the disk.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from config.stack import places
from config.stack.binaries import NotFound
from config.stack.postgres import StartError
from config.stack.servers import Servers, remove, temporary_folder


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.stack.run", description="Run a command with the servers up.")
    parser.add_argument("--keep", action="store_true", help="use and keep the data in .portal instead of temporary ones")
    parser.add_argument("--durable", action="store_true", help="temporary data, but written to the disk as in production")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("say which command to run, after --")
    folder = places.home() if options.keep else temporary_folder()
    servers = Servers(folder, is_temporary=not options.keep, is_durable=options.keep or options.durable, say=_say)
    try:
        servers.start()
        return _run(command, servers)
    except (StartError, NotFound, places.PlaceError) as error:
        _say(str(error))
        return 69
    finally:
        servers.stop()
        if not options.keep:
            remove(folder)


def _run(command: Sequence[str], servers: Servers) -> int:
    env = {**os.environ, **servers.env}
    # The package set this default for itself; left in place it would outrank pytest's own setting.
    if env.get("DJANGO_SETTINGS_MODULE") == "config.settings":
        del env["DJANGO_SETTINGS_MODULE"]
    try:
        process = subprocess.Popen(command, env=env)
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        return 127

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    # Ctrl-C reaches the command by itself: both are in the terminal's foreground group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
