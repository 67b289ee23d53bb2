"""Child processes are ended with everything they started."""

import signal
import subprocess
import sys
import time

import pytest

from config.stack.processes import Child, wait_until
from tests.stack.test_servers import alive

GRANDCHILD = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']);"


def started(tmp_path, script, **options):
    child = Child("child", [sys.executable, "-u", "-c", script], tmp_path / "child.log", **options)
    child.start()
    return child


def first_word(child):
    assert wait_until(lambda: child.last_lines() != "", child, 10)
    return child.last_lines().split()[0]


def test_a_grandchild_is_ended_too(tmp_path):
    child = started(tmp_path, GRANDCHILD + "print(p.pid); p.wait()")
    grandchild = int(first_word(child))
    child.stop()
    assert child.exit_code == -signal.SIGTERM
    deadline = time.monotonic() + 5
    while alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(grandchild)


def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path):
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(300)"
    child = started(tmp_path, script, grace=0.3)
    assert first_word(child) == "deaf"
    child.stop()
    assert child.exit_code == -signal.SIGKILL


def test_ending_twice_does_no_harm(tmp_path):
    child = started(tmp_path, "import time; time.sleep(300)")
    child.stop()
    child.stop()
    assert not child.is_running


def test_ending_what_never_started_does_nothing(tmp_path):
    Child("child", ["no-such-program"], tmp_path / "child.log").stop()


def test_the_chosen_signal_is_sent_and_the_words_are_kept(tmp_path):
    script = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGINT, lambda *_: (print('asked'), sys.exit(3)));"
        "print('here'); time.sleep(300)"
    )
    child = started(tmp_path, script, stop_signal=signal.SIGINT)
    assert first_word(child) == "here"
    child.stop()
    assert (child.exit_code, child.last_lines()) == (3, "here\nasked")
    assert child.last_lines(1) == "asked"


def test_waiting_ends_when_the_child_does(tmp_path):
    child = started(tmp_path, "import sys; sys.exit(1)")
    begun = time.monotonic()
    assert wait_until(lambda: False, child, 30) is False
    assert time.monotonic() - begun < 10


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word to orphans is Linux's")
def test_a_child_ends_when_its_parent_is_killed_outright(tmp_path):
    script = (
        "import pathlib, sys, time; from config.stack.processes import Child;"
        "c = Child('x', [sys.executable, '-c', 'import time; time.sleep(300)'], pathlib.Path(sys.argv[1]));"
        "c.start(); print(c.process.pid, flush=True); time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "x.log")], stdout=subprocess.PIPE, text=True)
    orphan = int(parent.stdout.readline())
    assert alive(orphan)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 5
    while alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(orphan)
