"""A Debian with a systemd of its own, in namespaces of the machine; its network is one that is there."""

import os
import subprocess

from .system import command, wait_for

# What tests/lab/run took along.
WITH = "/tmp/lab/with"
# A bare Debian has some 170 MB, on the disk that is never written.
ROOTS = "/var/tmp/joold"
PATIENCE_SECONDS = 300


def took_along(name):
    path = os.path.join(WITH, name)
    if not os.path.exists(path):
        raise RuntimeError(f"{name} did not come along: start this scenario with tests/package/guide")
    return path


class Machine:
    """It is off at first."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.root = os.path.join(ROOTS, namespace)
        self._log = f"/tmp/machine-{namespace}.log"
        self._boot = None
        self._first = None
        os.makedirs(self.root)
        command("tar", "-C", self.root, "-xf", took_along("debian.tar"))

    def put(self, path, into):
        command("cp", path, self.root + into)

    def power_on(self):
        with open(self._log, "a") as log:
            self._boot = subprocess.Popen([took_along("boot"), self.root, self.namespace], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log)
        self._first = wait_for(f"the first process of {self.namespace}", self._first_process,
                               patience=PATIENCE_SECONDS)
        wait_for(f"systemd in {self.namespace}", self._is_up, patience=PATIENCE_SECONDS)

    def power_off(self):
        """At once: nobody is told."""
        self._boot.terminate()
        self._boot.wait()

    def run(self, program):
        """What a program prints that root gives to a shell, in his own directory; and its exit status."""
        done = subprocess.run(["nsenter", "-t", str(self._first), "-m", "-p", "-n", "-u", "-i", "-C", "env", "-i",
                               "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
                               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "sh", "-ec", "cd\n" + program],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout, done.returncode

    def log(self):
        with open(self._log) as log:
            said = log.read()
        return said + self.run("journalctl --no-pager | tail -n 60")[0]

    def _first_process(self):
        if self._boot.poll() is not None:
            raise RuntimeError(f"{self.namespace} does not boot: {open(self._log).read()}")
        return _child(_child(self._boot.pid))

    def _is_up(self):
        said, _ = self.run("systemctl is-system-running || :")
        return said.strip() in ("running", "degraded")


def _child(process):
    if process is None:
        return None
    try:
        with open(f"/proc/{process}/task/{process}/children") as file:
            words = file.read().split()
    except FileNotFoundError:
        return None
    return int(words[0]) if words else None
