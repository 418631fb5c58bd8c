"""catena-swtpm under swtpm's names, in a directory of its own."""

import os
import shutil
import struct
import subprocess
import tempfile
import time

from tcb import BUILD, wait_until

NAMES = ("swtpm", "swtpm_setup", "swtpm_ioctl")
UUID = "a1b2c3d4-0000-4000-8000-000000000001"


class Place:
    """Links to the program, a CA, and state directories as libvirt lays them out."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="catena-swtpm-")
        os.chmod(self.root, 0o755)
        self.bin = f"{self.root}/bin"
        self.log = f"{self.root}/log"
        self.ca = f"{self.root}/ca"
        os.mkdir(self.bin)
        for name in NAMES:
            os.symlink(f"{BUILD}/catena-swtpm", f"{self.bin}/{name}")
        self.env = dict(os.environ, CATENA_SWTPM_CA=self.ca)
        self.running = []

    def dir(self, name, uuid=UUID):
        path = f"{self.root}/{name}/{uuid}/tpm2"
        os.makedirs(path, exist_ok=True)
        return path

    def run(self, name, *words, passed=()):
        return subprocess.run([f"{self.bin}/{name}", *words], env=self.env, text=True, timeout=60,
                              capture_output=True, check=False, pass_fds=passed)

    def catena(self, *words):
        return subprocess.run([f"{BUILD}/catena-swtpm", *words], env=self.env, text=True, timeout=60,
                              capture_output=True, check=False)

    def setup(self, state, *more, passed=()):
        """libvirt 9.0's words for a new VM."""
        done = self.run("swtpm_setup", "--tpm2", *more, "--tpm-state", state, "--vmid", f"web:{UUID}",
                        "--logfile", self.log, "--createek", "--create-ek-cert",
                        "--create-platform-cert", "--lock-nvram", "--not-overwrite", passed=passed)
        if done.returncode != 0:
            raise AssertionError(f"swtpm_setup: {done.stderr} {self.words()}")

    def start(self, state, name="ctrl", extra=(), passed=(), terminate=True):
        """libvirt 9.0's words for a start; returns when the socket is there."""
        path = f"{self.root}/{name}"
        words = ["socket", "--ctrl", f"type=unixio,path={path},mode=0600", "--tpmstate",
                 f"dir={state},mode=0600", "--log", f"file={self.log}",
                 *(["--terminate"] if terminate else []), "--tpm2", *extra]
        before = identity(path)
        process = subprocess.Popen([f"{self.bin}/swtpm", *words], env=self.env, pass_fds=passed)
        self.running.append(process)
        begin = time.monotonic()
        while identity(path) in (None, before) and process.poll() is None:
            pass
        return Running(process, path, time.monotonic() - begin)

    def words(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


class Running:
    def __init__(self, process, path, seconds):
        self.process, self.path, self.seconds = process, path, seconds

    def arguments(self):
        """For a QEMU, as libvirt writes them."""
        return ["-chardev", f"socket,id=chrtpm,path={self.path}", "-tpmdev",
                "emulator,id=tpm-tpm0,chardev=chrtpm", "-device", "tpm-crb,tpmdev=tpm-tpm0,id=tpm0"]

    def ended(self):
        wait_until("swtpm ends", lambda: self.process.poll() is not None)
        return self.process.returncode

    def stop(self):
        self.process.terminate()
        return self.ended()


def identity(path):
    """Of the file: a dead socket of an earlier run is not the new one."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


def saves(state):
    """How often the state was saved: the generation of the newest header."""
    with open(f"{state}/tpm2-00.catena", "rb") as file:
        data = file.read(8192)
    return max(struct.unpack(">Q", data[at + 8:at + 16])[0] for at in (0, 4096) if len(data) >= at + 16)


def pass_text(words):
    """A descriptor that words are read from, once."""
    ours, theirs = os.pipe()
    os.write(theirs, words.encode())
    os.close(theirs)
    return ours
