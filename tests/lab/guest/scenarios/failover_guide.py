"""docs/failover.md to the letter, in two Debians with the package; started by tests/package/guide"""

import subprocess
import time

from lab.guide import shown, steps
from lab.machine import Machine, took_along
from lab.system import inside, ip, poll

DAEMONS = "none"
ON_REQUEST = True

PACKAGE = "joold_0.1.0-1_amd64.deb"
# As the page has them, by what the lab calls them.
INTERFACES = (("sync", "eth0"), ("four", "eth1"), ("six", "eth2"))
VIRTUAL6 = "2001:db8:64::1"
PULL, PLUG_IN = "Pull the plug of J", "Plug J in again."
HOSTS = {"host4": "h4", "host6": "h6"}
PATIENCE_SECONDS = 120
# A line a second comes back; a moment's outage delays it.
LIVES_WITHIN_SECONDS = 20


def run(stage):
    guide = Guide(stage)
    try:
        with open(took_along("failover.md")) as file:
            for step in steps(file.read()):
                guide.follow(step)
        stage.check_equal("the plug is pulled, and put in again", [PULL, PLUG_IN], guide.done_by_hand)
    finally:
        guide.end()


class Guide:
    def __init__(self, stage):
        self.stage = stage
        self.background = []
        self.done_by_hand = []
        self.machines = {}
        prepare(stage.network)
        for name in "jk":
            machine = self.machines[name] = Machine(name)
            machine.put(took_along(PACKAGE), "/root/")
            machine.power_on()
            stage.logs[f"log of the machine {name}"] = machine.log

    def follow(self, step):
        if step.places is None:
            self.by_hand(step.text)
        elif "needs-archive" not in step.words:
            for place in step.places:
                self.at(place, step)

    def at(self, place, step):
        what = f"on {place}: {step.text.splitlines()[0]}"
        if "background" in step.words:
            self.begin(HOSTS[place], step.text)
            return
        machine, wanted = self.machines[place], shown(step)
        if wanted is None:
            said, status = machine.run(step.text)
            self.stage.check(what, status == 0, "exit status 0", f"{status}: {said}")
            return
        said, _ = poll(lambda: machine.run(step.text), lambda seen: wanted in seen[0], patience=PATIENCE_SECONDS)
        self.stage.check(f"{what} shows {wanted!r}", wanted in said, wanted, said)

    def begin(self, namespace, program):
        path = f"/tmp/guide-{namespace}.log"
        with inside(namespace), open(path, "w") as output:
            process = subprocess.Popen(["sh", "-c", program], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.background.append((process, path))
        self.stage.logs[f"in the background at {namespace}"] = lambda: "\n".join(_lines(path))
        # A host listens before another one connects; and a connection is there before it is tried.
        time.sleep(1)

    def by_hand(self, text):
        self.done_by_hand.append(text)
        if text == PULL:
            self.check_lives("before the plug is pulled")
            self.machines["j"].power_off()
            cut_off()
            self.stage.j.remove()
            self.check_lives("without J")
        elif text == PLUG_IN:
            ip(ADDRESSES, "j")
            self.stage.network.connect_to_hosts("j")
            self.machines["j"].power_on()

    def check_lives(self, when):
        """The last thing in the background is the connection."""
        count = len(self.said())
        seen = poll(lambda: len(self.said()), lambda seen: seen > count, patience=LIVES_WITHIN_SECONDS)
        self.stage.check(f"the connection lives {when}", seen > count, "a line more", "\n".join(self.said()))

    def said(self):
        _, path = self.background[-1]
        return _lines(path)

    def end(self):
        if self.background:
            self.check_lives("at the end")
        for process, _ in self.background:
            subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=False)
            process.wait()
        for machine in self.machines.values():
            machine.power_off()


def _lines(path):
    with open(path) as file:
        return file.read().splitlines()


# What the page has for J's network configuration: there after a boot.
ADDRESSES = """
link set eth0 up
link set eth1 up
link set eth2 up
address replace 2001:db8:ff::1/64 dev eth0
address replace 192.0.2.2/24 dev eth1
address replace 2001:db8:64::2/64 dev eth2
"""


def prepare(network):
    """The links have the names of the page, the routers no address yet, and the hosts' routes are the page's."""
    network.give_up()
    for name in "jk":
        ip("".join(f"address flush dev {ours}\nlink set {ours} down\nlink set {ours} name {theirs}\n"
                   for ours, theirs in INTERFACES), name)
    ip(f"address add 2001:db8:64::8/64 dev eth0 nodad\nroute replace 64:ff9b::/96 via {VIRTUAL6} src 2001:db8:64::8\n", "h6")


def cut_off():
    """What is left of a machine's network without power: nothing."""
    ip("link set four-j down\nlink set six-j down\n", "sw")
    ip("".join(f"address flush dev {theirs}\nlink set {theirs} down\n" for _, theirs in INTERFACES), "j")
