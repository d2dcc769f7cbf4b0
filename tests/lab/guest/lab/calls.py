"""Which system calls a process makes, counted by strace."""

import signal
import subprocess

from .system import wait_for

OUTPUT = "/tmp/calls.strace"


def calls_during(process, action):
    """{system call: how often} while `action` runs."""
    tracer = subprocess.Popen(["strace", "-f", "-c", "-o", OUTPUT, "-p", str(process)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("strace to attach", lambda: _tracer_of(process), lambda seen: seen == tracer.pid)
    try:
        action()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
    with open(OUTPUT) as file:
        return _parse(file.read())


def _tracer_of(process):
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("TracerPid:"))


def _parse(table):
    """Columns of strace -c: % time, seconds, usecs/call, calls, perhaps errors, name."""
    calls = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[-1] not in ("total", "syscall") and fields[3].isdecimal():
            calls[fields[-1]] = int(fields[3])
    return calls
