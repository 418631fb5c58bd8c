"""A TCB with its relay in a directory of its own, and clients for its sockets, for tests."""

import atexit
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

BUILD = os.environ["CATENA_BUILD"]
HEADER = struct.Struct(">IHHI")
VTPM_OPEN, VTPM_OPENED = 20, 262


def end_in_order(*_):
    """Whoever ends a test, by Ctrl-C or a time limit: its daemons and files go with it."""
    raise KeyboardInterrupt


signal.signal(signal.SIGINT, end_in_order)  # also of a shell's background
signal.signal(signal.SIGTERM, end_in_order)


def wait_until(what, check, seconds=30):
    """Polls, ever less often; fails with what was waited for.

    A long wait, as for a boot, is asked about once in a fiftieth of it: most checks start programs,
    which would take the processor from what is waited for."""
    begin = time.monotonic()
    pause = 0.002
    while not check():
        waited = time.monotonic() - begin
        if waited > seconds:
            raise AssertionError(f"timed out: {what}")
        time.sleep(pause)
        pause = min(2 * pause, max(0.05, min(waited / 50, 0.5)))


def is_alive(pid, proc="/proc"):
    try:
        with open(f"{proc}/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter between open and read
        return False


def children_of(pid):
    """Of all its threads; of one that has ended: none."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


class Host:
    """catena-tcb, perhaps under catena-supervisor, and catenad with one state directory."""

    def __init__(self, conf="[host]\nname = host-t\n", prefix=(), supervised=False):
        self.prefix = list(prefix)  # of the daemons' command lines
        self.program = "catena-supervisor" if supervised else "catena-tcb"
        self.program_directory = BUILD
        self.arguments = []  # more of that program's
        self.state = tempfile.mkdtemp(prefix="catena-t-", dir=os.environ.get("TMPDIR", "/tmp"))
        with open(f"{self.state}/catena.conf", "w", encoding="ascii") as file:
            file.write(conf)
        self.log = open(f"{self.state}/test.log", "ab")
        self.tcb = self.relay = None
        self.last_words = ""
        self.served_at = 0.0  # when a TCB served again under its supervisor
        atexit.register(self.close)  # a test that is interrupted leaves no daemon behind

    def spawn(self, program):
        where = self.program_directory if program == self.program else BUILD
        arguments = self.arguments if program == self.program else []
        return subprocess.Popen([*self.prefix, f"{where}/{program}", "--state", self.state,
                                 *arguments],
                                stderr=self.log, stdout=self.log, stdin=subprocess.DEVNULL)

    def start_tcb(self):
        self.tcb = self.spawn(self.program)
        path = f"{self.state}/run/tcb.sock"

        def is_up():
            if self.tcb.poll() is not None:
                raise AssertionError(f"catena-tcb ended: {self.words()}")
            with socket.socket(socket.AF_UNIX) as sock:
                return sock.connect_ex(path) == 0

        wait_until("catena-tcb serves", is_up, 60)

    def start_relay(self):
        self.relay = self.spawn("catenad")

        def is_up():
            with socket.socket(socket.AF_UNIX) as sock:
                return sock.connect_ex(f"{self.state}/run/catenad.sock") == 0

        wait_until("catenad serves", is_up)

    def start(self):
        self.start_tcb()
        self.start_relay()
        return self

    def words(self):
        with open(f"{self.state}/test.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def fails_to_start(self):
        """The exit code and the words of a TCB that does not come up."""
        before = len(self.words())
        code = self.spawn("catena-tcb").wait(60)
        return code, self.words()[before:]

    def catena(self, *words):
        return subprocess.run([f"{BUILD}/catena", "--state", self.state, *words],
                              capture_output=True, text=True, timeout=400, check=False)

    def json(self, *words):
        done = self.catena("-f", "json", *words)
        if done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def fails(self, code, *words):
        """The error object of a command that fails with this exit code."""
        done = self.catena("-f", "json", *words)
        if done.returncode != code:
            raise AssertionError(f"{words}: {done.returncode} instead of {code}: "
                                 f"{done.stdout}{done.stderr}")
        return json.loads(done.stdout or done.stderr)["error"]

    def children(self, program):
        """Pids of the TCB's children that run this program."""
        found = []
        for pid in children_of(self.tcb.pid):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
                    if comm.read().rstrip("\n") == program[:15]:
                        found.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def tcb_pid(self):
        """Of the TCB under a supervisor that does not restart it just now, or None."""
        return next(iter(filter(is_alive, self.children("catena-tcb"))), None)

    def lose_tcb(self, meanwhile=None):
        """Kills the TCB under its supervisor, calls this while there is none, and waits for another.

        Each served for over a second before, or it counts as one that cannot live."""
        time.sleep(max(0, self.served_at + 1.1 - time.monotonic()))
        before, served = self.tcb_pid(), self.words().count("serves again")
        os.kill(self.tcb.pid, signal.SIGSTOP)  # nobody is started
        os.kill(before, signal.SIGKILL)
        wait_until("the TCB is gone", lambda: not is_alive(before))
        if meanwhile is not None:
            meanwhile()
        os.kill(self.tcb.pid, signal.SIGCONT)
        wait_until("another TCB", lambda: self.words().count("serves again") > served, 60)
        self.served_at = time.monotonic()

    def kill_tcb(self, how=signal.SIGKILL):
        self.tcb.send_signal(how)
        return self.tcb.wait(60)

    def close(self, keep_words=False):
        atexit.unregister(self.close)
        for process in (self.relay, self.tcb):
            if process is not None and process.poll() is None:
                process.terminate()
                process.send_signal(signal.SIGCONT)  # lose_tcb may have been interrupted
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.log.close()
        if keep_words:
            self.last_words = self.words()
        shutil.rmtree(self.state, ignore_errors=True)


def frame(code, ident, payload=b"", flags=0):
    return HEADER.pack(len(payload), code, flags, ident) + payload


def hello(name=b"catena-tcb", version=1):
    return frame(0, 0, struct.pack(">HH", version, len(name)) + name)


def text(words):
    return struct.pack(">I", len(words)) + words


class Client:
    """Speaks the TCB's protocol by hand."""

    def __init__(self, path, greet=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(60)
        self.fds = []
        if greet:
            self.sock.sendall(hello())

    def read(self, n):
        data = b""
        while len(data) < n:
            part, fds, _, _ = socket.recv_fds(self.sock, n - len(data), 8)
            self.fds += fds
            if not part:
                raise EOFError
            data += part
        return data

    def receive(self):
        """(code, id, flags, payload) of the next frame that is no hello."""
        while True:
            length, code, flags, ident = HEADER.unpack(self.read(HEADER.size))
            payload = self.read(length)
            if code != 0:
                return code, ident, flags, payload

    def is_cut_off(self):
        try:
            while True:
                self.receive()
        except (EOFError, ConnectionResetError):
            return True

    def close(self):
        self.sock.close()


class Vtpm:
    """A vTPM as QEMU would drive it: opened at the TCB, powered on, started."""

    def __init__(self, host, name):
        client = Client(f"{host.state}/run/tcb.sock")
        client.sock.sendall(frame(VTPM_OPEN, 1, text(name.encode())))
        code, _, _, payload = client.receive()
        if code != VTPM_OPENED:
            raise AssertionError(f"open {name}: {payload}")
        self.control = socket.socket(fileno=client.fds[0])
        self.control.settimeout(60)
        client.close()
        self.data, theirs = socket.socketpair()
        self.data.settimeout(60)
        socket.send_fds(self.control, [b"\0\0\0\x10"], [theirs.fileno()])
        theirs.close()
        assert self.control.recv(4) == b"\0\0\0\0"
        self.control.sendall(b"\0\0\0\x02\0\0\0\0")
        assert self.control.recv(4) == b"\0\0\0\0"
        assert self.command("80010000000c000001440000")[0] in (0, 0x100)

    def command(self, data):
        self.data.sendall(bytes.fromhex(data))
        answer = b""
        while len(answer) < 10 or len(answer) < struct.unpack(">I", answer[2:6])[0]:
            part = self.data.recv(4096)
            if not part:
                raise EOFError
            answer += part
        return struct.unpack(">I", answer[6:10])[0], answer[10:]

    def define(self, index):
        """An ordinary 8 byte index with an empty authorisation."""
        public = struct.pack(">IHIHH", index, 0x000B, 0x02060006, 0, 8).hex()
        body = "40000001" + "00000009" + "40000009" + "0000" + "00" + "0000" + "0000" + "000e" + public
        return self.command("8002" + f"{10 + len(body) // 2:08x}" + "0000012a" + body)[0]

    def write(self, index, value):
        body = (f"{index:08x}" * 2 + "00000009" + "40000009" + "0000" + "00" + "0000" + "0008"
                + f"{value:016x}" + "0000")
        return self.command("8002" + f"{10 + len(body) // 2:08x}" + "00000137" + body)[0]

    def read(self, index):
        body = f"{index:08x}" * 2 + "00000009" + "40000009" + "0000" + "00" + "0000" + "0008" + "0000"
        code, rest = self.command("8002" + f"{10 + len(body) // 2:08x}" + "0000014e" + body)
        assert code == 0, hex(code)
        return struct.unpack(">Q", rest[6:14])[0]

    def close(self):
        self.data.close()
        self.control.close()
