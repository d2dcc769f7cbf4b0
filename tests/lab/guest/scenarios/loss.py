"""5,000 sessions while the sync link loses, doubles and reorders datagrams: with ours K has all; beside upstream's"""

import time

from lab.clients import Client
from lab.completeness import complete_within
from lab.weather import rough

DAEMONS = "compared"
RUNS = {f"{name}, {loss} %": (pair, {"loss": loss}) for loss in (10, 25)
        for name, pair in (("ours", "ours/ours"), ("upstream", "upstream/upstream"))}
BASES = {}
NOTES = ("Each way, besides: 5 % of the datagrams twice, 25 % before others that are late by 10 ms.",)

MADE = {"udp": 4400, "tcp": 200, "icmp": 400}
MOST_SECONDS = 2


def run(stage, loss):
    stage.add_instances()
    stage.start_pair()
    with Client(stage.hosts) as client, rough(loss, duplicate=5, overtaking=25, delay_ms=10) as weather:
        count = client.make(**MADE)
        done = complete_within(MOST_SECONDS, time.monotonic(), count, [stage.j], [stage.k])
        lost, kilobytes = weather.lost(), weather.kilobytes()
    stage.check(f"the link lost some datagrams ({lost})", lost > 0, "some", lost)
    done.check(stage, f"{loss} % lost")
    return {
        "sessions made": count,
        "sessions lost at J's queue": stage.j.statistics()["JOOLD_SSS_ENOSPC"],
        "datagrams lost on the link": lost,
        "kB on the link": kilobytes,
    } | done.figures()
