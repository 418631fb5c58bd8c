"""A QEMU as an operator starts it: SeaBIOS, a vTPM's socket, no guest; driven through QMP."""

import atexit
import json
import os
import socket
import subprocess
import tempfile

QEMU = "/usr/bin/qemu-system-x86_64"


class Qemu:
    """arguments are those that catena printed. incoming: a saved VM; uri: waits for one there."""

    def __init__(self, arguments, incoming=None, uri=None, extra=(), memory=32, passed=()):
        self.words = tempfile.TemporaryFile("w+")
        ours, theirs = socket.socketpair()
        command = [QEMU, "-accel", "tcg", "-machine", "q35", "-m", str(memory), "-nodefaults", "-display",
                   "none", *arguments, "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon",
                   "chardev=qmp,mode=control", *extra]
        if incoming is not None or uri is not None:
            command += ["-incoming", "defer"]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno(), *passed], stderr=self.words,
                                        stdin=subprocess.DEVNULL, env=environment())
        theirs.close()
        atexit.register(self.end)  # a row that fails leaves no QEMU behind
        self.qmp = ours.makefile("rw", encoding="utf-8")
        self.socket = ours
        ours.settimeout(120)
        self.events = []
        self.greeted = bool(self.read())
        if self.greeted:
            self.ask("qmp_capabilities")
        if incoming is not None:
            self.ask("migrate-incoming", uri=f"exec:cat {incoming}")

    def read(self):
        line = self.qmp.readline()
        return json.loads(line) if line else None

    def ask(self, command, **arguments):
        """The answer's value; an error or QEMU's end is an exception."""
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            answer = self.read()
            if answer is None:
                raise EOFError(f"{command}: QEMU ended: {self.last_words()}")
            if "event" in answer:
                self.events.append(answer["event"])
            elif "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            else:
                return answer.get("return")

    def monitor(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})

    def await_event(self, name):
        while name not in self.events:
            answer = self.read()
            if answer is None:
                raise EOFError(f"{name}: QEMU ended: {self.last_words()}")
            if "event" in answer:
                self.events.append(answer["event"])
        self.events.remove(name)

    def save(self, path):
        """Migrates to a file, as libvirt's save does; QEMU stays, stopped."""
        self.ask("migrate-set-capabilities", capabilities=[{"capability": "events",
                                                            "state": True}])
        self.ask("migrate", uri=f"exec:cat > {path}")
        while True:
            self.await_event("MIGRATION")
            status = self.ask("query-migrate").get("status")
            if status in ("completed", "failed", "cancelled"):
                return status

    def status(self):
        return self.ask("query-status")["status"]

    def last_words(self):
        self.words.seek(0)
        return self.words.read()

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def quit(self):
        if self.process.poll() is None:
            try:
                self.ask("quit")
            except (EOFError, OSError):
                pass
            self.process.wait(60)
        self.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.close()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        atexit.unregister(self.end)
        self.socket.close()
        self.words.close()


def environment():
    """Ours without MALLOC_PERTURB_, which meson sets: QEMU 7.2 reads memory that it did not write, and
    with the pattern in it the firmware is not started again after a reset, with swtpm as with us."""
    return {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}


def is_installed():
    return os.access(QEMU, os.X_OK)
