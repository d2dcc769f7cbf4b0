"""keepalived on a router, with the repository's own example but for what it says is to be adapted."""

import contextlib
import os
import re
import signal
import subprocess

from .daemon import JOOLDCTL
from .network import POOL4, VIRTUAL6
from .system import CommandFailed, command, inside, ip

# Comes with the payload.
EXAMPLES = "/tmp/lab/keepalived"
INSTALLED = "/etc/keepalived"
INSTALLED_JOOLDCTL = "/usr/bin/jooldctl"
PRIORITIES = {"j": 150, "k": 100}
# What of the example asks joold something: (its first line, its last).
OF_JOOLD = (
    (r"^vrrp_script joold \{\n", r"^\}\n"),
    (r"^    track_script \{\n", r"^    \}\n"),
    (r"^    notify .*", r"\n"),
)


def install():
    """The files where the example says that they are: keepalived runs no script from a directory that others may
    write to, such as /tmp."""
    os.makedirs(INSTALLED, exist_ok=True)
    for name in os.listdir(EXAMPLES):
        command("cp", os.path.join(EXAMPLES, name), INSTALLED)
    if os.path.exists(JOOLDCTL):
        command("cp", JOOLDCTL, INSTALLED_JOOLDCTL)


def adapted(example, namespace, control_socket, advert_int):
    """Without a control socket there is nobody to ask: then it has nothing of joold."""
    text = _replaced(example, r"\beth1\b", "four")
    text = _replaced(text, r"\beth2\b", "six")
    text = _replaced(text, r"\b2001:db8:64::1/64", f"{VIRTUAL6}/64")
    text = _replaced(text, r"\bpriority 150\b", f"priority {PRIORITIES[namespace]}")
    if advert_int is not None:
        text = _replaced(text, r"\badvert_int [\d.]+", f"advert_int {advert_int}")
    if control_socket is None:
        for first, last in OF_JOOLD:
            text = _replaced(text, rf"{first}(?:.*\n)*?{last}", "")
        return text
    option = rf"\1 --socket {control_socket}"
    text = _replaced(text, rf'(?<=^    script ")({INSTALLED_JOOLDCTL} .*)(?=")', option)
    return _replaced(text, rf'(?<=^    notify ")({INSTALLED}/notify.*)(?=")', option)


def _replaced(text, pattern, by):
    text, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    if not count:
        raise ValueError(f"keepalived's example has nothing like {pattern}")
    return text


class Keepalived:
    """It runs while it is entered."""

    def __init__(self, namespace, control_socket=None, advert_int=None):
        self.namespace = namespace
        base = f"/run/keepalived-{namespace}"
        self._configuration = f"{base}.conf"
        self._log = f"/tmp/keepalived-{namespace}.log"
        with open(f"{INSTALLED}/keepalived.conf") as example, open(self._configuration, "w") as own:
            own.write(adapted(example.read(), namespace, control_socket, advert_int))
        open(self._log, "w").close()
        # In the foreground, and with process ids in files of its own: J and K have one file system.
        self._command = ["keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail", "--no-syslog",
                         "--use-file", self._configuration, "--pid", f"{base}.pid", "--vrrp_pid", f"{base}-vrrp.pid",
                         "--bfd_pid", f"{base}-bfd.pid"]

    def objections(self):
        """What it says of its configuration: of scripts that are not safe, too."""
        try:
            return command("keepalived", "--vrrp", "--config-test", "--use-file", self._configuration,
                           namespace=self.namespace)
        except CommandFailed as failure:
            return str(failure)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def start(self):
        with inside(self.namespace), open(self._log, "a") as output:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, start_new_session=True)

    def kill(self):
        """All of its processes at once: nothing is said of it to anybody."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def forget(self):
        """The addresses that it had set are gone, as they are when a router was off."""
        for address, interface in ((f"{VIRTUAL6}/64", "six"), (f"{POOL4}/24", "four")):
            with contextlib.suppress(CommandFailed):
                ip(f"address delete {address} dev {interface}\n", self.namespace)

    def log(self):
        with open(self._log) as file:
            return file.read()
