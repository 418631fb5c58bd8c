"""Points at which strace kills a process: counting them, drawing some, telling how far it went."""

from progress import Progress


def count(log, calls):
    """How often each of these calls stands in a log of strace's."""
    with open(log, encoding="ascii", errors="replace") as file:
        names = [line.split("(", 1)[0] for line in file]
    return {call: names.count(call) for call in calls if call in names}


def draw(counts, points, chance):
    """All of them, or some: the rarer calls, which end what the others began, are not left out."""
    every = [(call, number) for call in counts for number in range(1, counts[call] + 1)]
    if points is None:
        return every
    chosen = [(call, chance.randint(1, counts[call])) for call in counts]
    return sorted(chosen + chance.sample(every, max(0, min(points, len(every)) - len(chosen))))


class Tally:
    """Says every now and then how many were tried, and in the end that most of them killed."""

    def __init__(self, name, points):
        self.name, self.points = name, points
        self.killed = 0
        self.progress = Progress(f"{name}: points", points)

    def add(self, killed):
        self.killed += killed
        self.progress.step(f"killed at {self.killed}")

    def finish(self):
        if self.killed < self.points // 2:
            raise AssertionError(f"{self.name}: hardly ever killed")
