"""Commands, network namespaces and waiting: what everything else in the guest is built from."""

import contextlib
import os
import subprocess
import time

# An emulated processor is slow and its pace varies: a bound only says when to stop hoping.
PATIENCE_SECONDS = 60

# linux/sched.h
CLONE_NEWNET = 0x40000000


class CommandFailed(Exception):
    def __init__(self, argv, status, output):
        super().__init__(f"{' '.join(argv)}: exit status {status}: {output.strip()}")


class Waited(Exception):
    """What was waited for did not come."""


def _enter(namespace):
    """By its open file."""
    if hasattr(os, "setns"):
        os.setns(namespace.fileno(), CLONE_NEWNET)
        return
    # Before Python 3.12.
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    """Puts the calling thread into a network namespace. Sockets and processes made meanwhile stay in it."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)


def command(*argv, namespace=None, feed=None):
    """Runs a command to its end and returns what it printed."""
    with inside(namespace) if namespace else contextlib.nullcontext():
        done = subprocess.run(argv, input=feed, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL if feed is None else None)
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout)
    return done.stdout


def ip(lines, namespace=None):
    """Runs many ip commands in one process: starting one takes long here."""
    command("ip", "-batch", "-", namespace=namespace, feed=lines)


def sysctl(namespace, **values):
    """Sets net.* values of a namespace; `__` in a name stands for the dot."""
    with inside(namespace):
        for name, value in values.items():
            with open("/proc/sys/net/" + name.replace("__", "/"), "w") as file:
                file.write(str(value))


def poll(probe, satisfied=bool, patience=PATIENCE_SECONDS, pause=0.05):
    """Calls `probe` until its result satisfies, or patience ends; returns the last result either way."""
    deadline = time.monotonic() + patience
    while True:
        seen = probe()
        if satisfied(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(pause)


def wait_for(what, probe, satisfied=bool, patience=PATIENCE_SECONDS, pause=0.05):
    """As poll, for what must come before a scenario can go on."""
    seen = poll(probe, satisfied, patience, pause)
    if not satisfied(seen):
        raise Waited(f"waited {patience} s for {what}; last seen: {seen!r}")
    return seen


def wait_until_quiet(what, probe, seconds, patience=300):
    """Waits until `probe` has given the same result for so many seconds; returns it."""
    last, since = probe(), time.monotonic()
    deadline = since + patience
    while time.monotonic() < since + seconds:
        time.sleep(seconds / 8)
        seen = probe()
        if seen != last:
            last, since = seen, time.monotonic()
        if since > deadline:
            raise Waited(f"waited {patience} s until {what}; last seen: {last!r}")
    return last
