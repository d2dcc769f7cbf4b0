"""What a daemon costs: processor time and memory, from /proc."""

import os


def cpu_ns(process):
    """User and system time of all threads. The ticks of /proc/PID/stat are the same, but 10 ms each."""
    total = 0
    for task in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def memory_of(process):
    """The sizes of /proc/PID/status in kB: VmHWM is the peak of what was resident, RssAnon its own part now."""
    with open(f"/proc/{process}/status") as file:
        lines = [line.split() for line in file]
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1] == "kB"}
