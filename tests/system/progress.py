"""Tells a person how far a test of many rounds is."""

import time


class Progress:
    """A line now and then, and one at the last round."""

    def __init__(self, what, rounds, seconds=30):
        self.what, self.rounds, self.seconds = what, rounds, seconds
        self.done = 0
        self.began = self.said = time.monotonic()

    def step(self, words=""):
        """One round more. words: what else there is to say of it."""
        self.done += 1
        now = time.monotonic()
        if self.done != self.rounds and now - self.said < self.seconds:
            return
        self.said = now
        print(f"# {self.what}: {self.done} of {self.rounds} in {now - self.began:.0f} s"
              + (f"; {words}" if words else ""), flush=True)
