"""our daemon: as an ordinary user with CAP_NET_ADMIN alone it does all that Jool lets only the privileged do"""

from lab.system import wait_for

DAEMONS = "ours"

# Debian's nobody and nogroup.
NOBODY = 65534
NET_ADMIN = 1 << 12


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j, at_k = stage.start_pair(modsocket={"user": "nobody"})
    for daemon in (at_j, at_k):
        # Sockets that are open already do not tell that the privileges they took are gone.
        wait_for(f"{daemon} to say that it runs as its user", daemon.log, lambda log: "running as the user" in log)
        status = status_of(daemon)
        four = " ".join([str(NOBODY)] * 4)
        stage.check_equal(f"{daemon} runs as nobody", [four, four, ""],
                          [status[key] for key in ("Uid", "Gid", "Groups")])
        wanted = {"CapPrm": NET_ADMIN, "CapEff": NET_ADMIN, "CapBnd": NET_ADMIN, "CapInh": 0, "CapAmb": 0}
        stage.check_equal(f"{daemon} has CAP_NET_ADMIN alone, in these sets alone", wanted,
                          {key: int(status[key], 16) for key in wanted})
        stage.check_equal(f"{daemon} gets no new privileges", "1", status["NoNewPrivs"])
    stage.hosts.udp(20)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K", ["udp"])
    stage.network.hand_over("k")
    stage.hosts.udp(20, host4="198.19.0.1")
    stage.check_same_tables(stage.k, stage.j, "made through K appear at J", ["udp"])
    for instance in (stage.j, stage.k):
        stage.check(f"the kernel at {instance.namespace} has been sent acknowledgements",
                    instance.statistics()["JOOLD_ACKS"] > 0, "1 or more", instance.statistics())


def status_of(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as file:
        pairs = [line.split(":", 1) for line in file]
    return {key: " ".join(value.split()) for key, value in pairs}
