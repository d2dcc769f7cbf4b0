"""the sync link lets nothing through for 8 s, sessions are made at both ends, and it heals; beside upstream's"""

from lab.parting import NOTES, RUNS, part

DAEMONS = "compared"
BASES = {}


def run(stage):
    return part(stage, seconds=8)
