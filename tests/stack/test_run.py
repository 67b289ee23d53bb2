"""``python -m config.stack.run``: a command with servers around it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from config.stack.places import CHECKOUT
from tests.stack.test_servers import alive

pytestmark = pytest.mark.slow


def start(tmp_path, script, **options):
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"TMPDIR": str(tmp_path), **options}
    return subprocess.Popen(
        [sys.executable, "-m", "config.stack.run", "--", sys.executable, "-c", script],
        cwd=CHECKOUT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_commands_exit_code_comes_back_and_nothing_stays(tmp_path):
    script = "import os, redis, sys; redis.Redis.from_url(os.environ['REDIS_URL']).ping(); sys.exit(7)"
    run = start(tmp_path, script)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 7, said
    assert list(tmp_path.iterdir()) == []


def test_pytest_is_left_to_choose_its_own_settings(tmp_path):
    run = start(
        tmp_path, "import os; print(os.environ.get('DJANGO_SETTINGS_MODULE'))", DJANGO_SETTINGS_MODULE="config.settings"
    )
    assert run.communicate(timeout=60)[0].strip() == "None"


def test_an_unknown_command_is_a_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "config.stack.run", "--", "no-such-command-here"],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 127
    assert done.stderr.splitlines()[-1] == "no-such-command-here: No such file or directory"


def test_being_ended_ends_the_command_and_the_servers(tmp_path):
    run = start(tmp_path, "import os, time; print(os.environ['REDIS_URL'], flush=True); time.sleep(300)")
    assert run.stdout.readline().startswith("redis://")
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_servers_end_when_their_starter_is_killed_outright(tmp_path):
    script = (
        "import os, psycopg, redis, time;"
        "pid = redis.Redis.from_url(os.environ['REDIS_URL']).info()['process_id'];"
        "connection = psycopg.connect(os.environ['DATABASE_URL']);"
        "folder = connection.execute('SHOW data_directory').fetchone()[0];"
        "print(pid, open(folder + '/postmaster.pid').readline().strip(), flush=True);"
        "connection.close(); time.sleep(300)"
    )
    run = start(tmp_path, script)
    pids = [int(word) for word in run.stdout.readline().split()]
    children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    run.kill()
    run.wait(10)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in pids if alive(pid)] == []
    # The command itself is the caller's: it is ended here.
    for pid in set(map(int, children)) - set(pids):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    run.communicate()
