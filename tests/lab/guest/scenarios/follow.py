"""jooldctl follow prints what Jool's own client does, and at K the same as came in"""

import contextlib
import json
import signal
import subprocess

from lab.daemon import JOOLDCTL, has_jooldctl
from lab.system import inside, poll
from lab.traffic import ping

DAEMONS = "ours"
# Each packet is told, as to Jool's own client.
NOTHING_MERGED = {"refresh window": 0}


def run(stage):
    if not has_jooldctl():
        raise RuntimeError("no jooldctl came with the daemon: build it")
    stage.family = "ipv6"
    stage.add_instances()
    at_j, at_k = stage.start_pair(modsocket=NOTHING_MERGED)
    with contextlib.ExitStack() as open_:
        def follower(namespace, *command):
            return open_.enter_context(Follower(namespace, command))

        # It would write by the block to a file.
        kernels = follower("j", "stdbuf", "-oL", "jool", "session", "follow")
        sent = follower("j", JOOLDCTL, "--socket", at_j.control_socket, "follow")
        received = follower("k", JOOLDCTL, "--socket", at_k.control_socket, "follow", "--direction", "in", "--json")
        wait_until_all_follow(stage, (kernels, sent, received))
        before = table(stage.j)
        ping()
        stage.hosts.udp(20)
        stage.hosts.tcp_used()
        stage.check_same_tables(stage.j, stage.k, "made through J appear at K")
        made = table(stage.j) - before
        for what, look in (("jool session follow", lambda: sessions(kernels)),
                           ("jooldctl follow", lambda: sessions(sent)),
                           ("jooldctl follow at K, of what comes in", lambda: documents(received))):
            seen = poll(lambda: look() - before, lambda seen: seen == made, patience=20)
            stage.check_equal(f"{what} prints the {len(made)} new sessions, and no other", made, seen)


def wait_until_all_follow(stage, followers):
    """Nobody says when it begins."""
    poll(lambda: stage.hosts.udp(1) or all(follower.lines() for follower in followers), pause=0.2)


def table(instance):
    """Its sessions as a line has them, but for what changes with each packet."""
    return {(*key[:3], *key[5:]) for key in instance.all_sessions()}


def sessions(follower):
    """What its lines are about. Jool's client says something of itself first."""
    fields = (line.split(",") for line in follower.lines())
    return {tuple(line[:7]) for line in fields if len(line) == 8}


def documents(follower):
    """The same of JSON documents."""
    names = ("protocol", "ipv6_source", "ipv6_source_port", "ipv4_source", "ipv4_source_port", "ipv4_destination",
             "ipv4_destination_port")
    found = map(json.loads, follower.lines())
    return {tuple(str(document[name]) for name in names) for document in found}


class Follower:
    """A program that prints a line for each update, until this is left."""

    def __init__(self, namespace, command):
        self._path = f"/tmp/follow-{namespace}-{command[0].rsplit('/', 1)[-1]}.log"
        with inside(namespace), open(self._path, "w") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def lines(self):
        with open(self._path) as file:
            return [line.rstrip("\n") for line in file if line.endswith("\n")]
