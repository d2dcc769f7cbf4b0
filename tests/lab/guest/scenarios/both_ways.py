"""sessions made through K appear at J as well, next to those made through J"""

from lab.traffic import ping

DAEMONS = "pairs"


def run(stage):
    stage.add_instances()
    stage.start_pair()
    ping()
    stage.hosts.udp(3)
    stage.hosts.tcp_used()
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K")
    before = stage.k.all_sessions().keys()

    stage.network.hand_over("k")
    ping()
    stage.hosts.udp(3)
    stage.hosts.tcp_used()
    added = stage.k.all_sessions().keys() - before
    stage.check("a ping, three datagrams and a connection through K make five more sessions there",
                len(added) == 5, "5 sessions", added)
    stage.check_same_tables(stage.k, stage.j, "made through K appear at J")
