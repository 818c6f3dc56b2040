"""A trial in a process of its own, ended from outside."""

import signal
import subprocess
import sys

TRIAL = """
import sys, time
from vishwam.training import interruption
interruption.PATIENCE_SECONDS = 0.5
i = interruption.Interruption().install()
i.last_words = lambda: print("last words", flush=True) or 7
print("ready", flush=True)
{body}
"""
POLITE = """
while True:
    try:
        i.check()
    except interruption.Interrupted as reason:
        print("by", reason, flush=True)
        sys.exit(0)
    time.sleep(0.05)
"""
# One long call, as a compilation is.
DEAF = "time.sleep(60)"


def start(body, **options):
    trial = subprocess.Popen(
        [sys.executable, "-c", TRIAL.format(body=body)], stdout=subprocess.PIPE, text=True, **options
    )
    assert trial.stdout.readline() == "ready\n"
    return trial


def test_a_signal_is_noted_and_raised_where_asked_for():
    for number in (signal.SIGINT, signal.SIGTERM):
        trial = start(POLITE)
        trial.send_signal(number)
        assert trial.communicate(timeout=10)[0] == f"by {number.name}\n"
        assert trial.returncode == 0


def test_a_trial_that_does_not_ask_is_ended_after_its_last_words():
    trial = start(DEAF)
    trial.send_signal(signal.SIGTERM)
    assert trial.communicate(timeout=20)[0] == "last words\n"
    assert trial.returncode == 7


def test_a_trial_ends_with_its_parent():
    agent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import subprocess, sys
trial = subprocess.Popen([sys.executable, "-c", {TRIAL.format(body=POLITE)!r}], process_group=0)
trial.wait()
""",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert agent.stdout.readline() == "ready\n"
    agent.kill()
    # The pipe closes when the last process that holds it, the trial, is gone.
    assert agent.stdout.read() == "by the end of its parent process\n"


# What a trial imports takes seconds; the agent is gone before they are over.
LATE = """
import os, sys
import vishwam
print("begun", flush=True)
sys.stdin.readline()
"""


def test_a_parent_that_ends_during_the_imports_is_missed():
    body = LATE + TRIAL.format(body=POLITE)
    agent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {body!r}], process_group=0)",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert agent.stdout.readline() == "begun\n"
    agent.kill()
    agent.wait()
    agent.stdin.close()
    assert agent.stdout.read() == "ready\nby the end of its parent process\n"
