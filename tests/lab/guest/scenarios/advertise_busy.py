"""the same to a K that gets its turn only after J has sent everything; only on request"""

from lab.advertisement import measure

DAEMONS = "compared"
ON_REQUEST = True
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {"ours": "upstream"}


def run(stage):
    return measure(stage, 20000, busy=True)
