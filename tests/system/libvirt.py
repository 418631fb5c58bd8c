"""A real libvirtd for a user without rights; its whole world is one directory."""

import os
import shutil
import subprocess
import tempfile

from tcb import wait_until

NOBODY = 65534
NEEDED = ["libvirtd", "virsh", "qemu-img", "qemu-system-x86_64"]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  {uuid}
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    {tpm}
  </devices>
</domain>
"""


def missing():
    """Programs that are not there: the test is skipped."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


class Libvirt:
    """libvirtd's session mode. before: a directory that it searches for programs first."""

    def __init__(self, before=None, env=None):
        self.dir = tempfile.mkdtemp(prefix="catena-lv-", dir="/tmp")
        self.uid = NOBODY if os.geteuid() == 0 else os.geteuid()
        path = PATH if before is None else f"{before}:{PATH}"
        self.env = {"PATH": path, "HOME": self.dir, "LC_ALL": "C", **(env or {})}
        for kind in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME"):
            self.env["XDG_" + kind] = f"{self.dir}/{kind.lower()}"
            os.mkdir(self.env["XDG_" + kind], 0o700)
        for root, dirs, _ in os.walk(self.dir):
            for name in [root] + [os.path.join(root, d) for d in dirs]:
                os.chown(name, self.uid, self.uid if os.geteuid() == 0 else -1)
        self.log = open(f"{self.dir}/libvirtd.log", "wb")
        self.daemon = subprocess.Popen(self.command("libvirtd", "--timeout", "0"), env=self.env,
                                       cwd=self.dir, stdout=self.log, stderr=self.log,
                                       stdin=subprocess.DEVNULL)
        wait_until("libvirtd serves", self.is_up, 60)

    def command(self, *words):
        if os.geteuid() != 0:
            return list(words)
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", *words]

    def is_up(self):
        if self.daemon.poll() is not None:
            raise AssertionError(f"libvirtd ended: {self.words()}")
        return self.try_virsh("version").returncode == 0

    def try_virsh(self, *words):
        return subprocess.run(self.command("virsh", "-q", "-c", "qemu:///session", *words),
                              env=self.env, cwd=self.dir, capture_output=True, text=True,
                              timeout=120, check=False)

    def virsh(self, *words):
        done = self.try_virsh(*words)
        if done.returncode != 0:
            raise AssertionError(f"virsh {words}: {done.stdout}{done.stderr}\n{self.words()}")
        return done.stdout.strip()

    def fails(self, *words):
        done = self.try_virsh(*words)
        if done.returncode == 0:
            raise AssertionError(f"virsh {words} succeeded: {done.stdout}")
        return done.stderr

    def file(self, name, text):
        """A file that libvirtd and virsh can read."""
        path = f"{self.dir}/{name}"
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def define(self, name, tpm, uuid=""):
        """A small domain with this <tpm> element and a disk of its own."""
        disk = f"{self.dir}/{name}.qcow2"
        subprocess.run(self.command("qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"), check=True)
        uuid = f"<uuid>{uuid}</uuid>" if uuid else ""
        xml = DOMAIN.format(name=name, disk=disk, tpm=tpm, uuid=uuid)
        self.virsh("define", self.file(f"{name}.xml", xml))

    def words(self):
        with open(f"{self.dir}/libvirtd.log", encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def close(self):
        if self.daemon.poll() is None:
            for name in self.try_virsh("list", "--name").stdout.split():
                self.try_virsh("destroy", name)
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
