"""A Jool instance in a namespace, through Jool's own client."""

import collections

from .network import POOL4, POOL6
from .system import CommandFailed, command

PROTOCOLS = ("tcp", "udp", "icmp")

# The module whose queue has room for `ss-capacity` updates. Those before keep what one packet holds and drop the rest.
QUEUE_SINCE = (4, 1, 11)

# One line of `jool session display --csv`. `key` is what tells one session from another.
Session = collections.namedtuple("Session", "key state lifetime_ms")
LOCAL_PORT4 = 6

# Of pool4, for TCP and UDP.
FIRST_PORT, LAST_PORT = 61001, 65535


def module_version():
    """As numbers, to be compared: (4, 1, 13)."""
    with open("/sys/module/jool/version") as file:
        return tuple(map(int, file.read().split(".")))


class Instance:
    def __init__(self, namespace, name="default"):
        self.namespace = namespace
        self.name = name

    def jool(self, *words):
        return command("jool", "--instance", self.name, *words, namespace=self.namespace)

    def add(self, flush_deadline_ms=20, pool4=POOL4, ports=f"{FIRST_PORT}-{LAST_PORT}", enabled=True):
        """Adds the instance, by default with synchronization on; a deadline of None leaves Jool's default."""
        command("jool", "instance", "add", self.name, "--netfilter", "--pool6", POOL6,
                namespace=self.namespace)
        self.jool("pool4", "add", pool4, ports, "--tcp")
        self.jool("pool4", "add", pool4, ports, "--udp")
        self.jool("pool4", "add", pool4, "0-65535", "--icmp")
        if flush_deadline_ms is not None:
            self.set("ss-flush-deadline", flush_deadline_ms)
        if enabled:
            self.set("ss-enabled", "true")
        return self

    def remove(self):
        command("jool", "instance", "remove", self.name, namespace=self.namespace)

    def set(self, name, value):
        self.jool("global", "update", name, str(value))

    def advertise(self):
        self.jool("session", "advertise")

    def sessions(self, protocol):
        """The table of one protocol: {key: Session}."""
        lines = self.jool("session", "display", "--" + protocol, "--numeric", "--csv", "--no-headers")
        sessions = (_session(line) for line in lines.splitlines() if line)
        return {session.key: session for session in sessions}

    def free_ports(self, protocol, count):
        """Ports of pool4 that no session has: Jool hands out neighbours to connections of one host, from anywhere on."""
        taken = {int(key[LOCAL_PORT4]) for key in self.sessions(protocol)}
        return [port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in taken][:count]

    def all_sessions(self):
        return {key: session for protocol in PROTOCOLS for key, session in self.sessions(protocol).items()}

    def statistics(self):
        """Every counter of the module, by its name without the JSTAT_ prefix."""
        lines = self.jool("stats", "display", "--all", "--csv", "--no-headers").splitlines()
        return collections.Counter({name.removeprefix("JSTAT_"): int(value)
                                    for name, value in (line.split(",")[:2] for line in lines)})

    def tables(self):
        """For people to read."""
        try:
            return "".join(self.jool("session", "display", "--" + protocol, "--numeric", "--csv", "--no-headers")
                           for protocol in PROTOCOLS)
        except CommandFailed as failure:
            return str(failure)


def _session(line):
    fields = line.split(",")
    protocol, addresses = fields[0], fields[1:9]
    return Session((protocol, *addresses), fields[10] if len(fields) > 10 else "", _milliseconds(fields[9]))


def _milliseconds(text):
    """`H:MM:SS.mmm`, with what is zero at the front left out."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return round(seconds * 1000)
