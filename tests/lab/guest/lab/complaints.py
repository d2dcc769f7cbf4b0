"""What a kernel or upstream's daemon had to complain of."""

from .system import command

# What Jool says of instances that come and go is no complaint.
CHANGES = ("Created", "Deleted", "Replaced")

# How syslog's lines begin: facility daemon, and a priority from warning up.
COMPLAINTS = tuple(f"<{3 * 8 + priority}>" for priority in range(5))


class KernelLog:
    """What the module logs from here on. All routers have one kernel, which forgets its oldest lines, so that their
    number tells nothing."""

    def __init__(self):
        self.before = command("dmesg").splitlines()[-1:]

    def lines(self):
        now = command("dmesg").splitlines()
        for number in reversed(range(len(now))):
            if now[number:number + 1] == self.before:
                now = now[number + 1:]
                break
        return [line for line in now if "Jool" in line]

    def complaints(self):
        return [line for line in self.lines() if not any(f"Jool: {change} instance" in line for change in CHANGES)]


def complaints_of(daemon):
    """What upstream's daemon logged as a warning or worse."""
    return [line for line in daemon.log().splitlines() if line.startswith(COMPLAINTS)]
