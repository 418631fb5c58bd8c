"""What QEMU says to a vTPM at a path, in the order that a test wants."""

import socket
import struct

from tcb import Vtpm

STARTUP = "80010000000c000001440000"


class Peer(Vtpm):
    """A QEMU without a machine: the control and the data channel."""

    def __init__(self, path, boot=True):  # pylint: disable=super-init-not-called
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(60)
        self.control.connect(path)
        self.data, theirs = socket.socketpair()
        self.data.settimeout(60)
        socket.send_fds(self.control, [b"\0\0\0\x10"], [theirs.fileno()])
        theirs.close()
        assert self.result() == 0
        if boot:
            assert self.init(0) == 0
            assert self.command(STARTUP)[0] in (0, 0x100)

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.control.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def result(self, *words, tail=b""):
        self.control.sendall(struct.pack(f">{len(words)}I", *words) + tail)
        return struct.unpack(">I", self.take(4))[0]

    def init(self, flags):
        return self.result(2, flags)

    def save(self):
        """The token, as QEMU writes it into the saved VM."""
        token = b""
        for kind in (1, 2, 3):
            result = self.result(12, 1, kind, 0)
            _, total, length = struct.unpack(">III", self.take(12))
            assert result == 0 and total == length, (result, total, length)
            token += self.take(length)
        return token

    def restore(self, token):
        """What QEMU does on load; the first result that is not 0."""
        return self.result(14) or self.result(13, 1, 1, len(token), tail=token) or self.init(1)

    def value(self, index):
        return Vtpm.read(self, index)

    def is_cut_off(self):
        try:
            return self.data.recv(1) == b"" and self.control.recv(1) == b""
        except ConnectionResetError:
            return True
