"""Several isolated libvirt hosts on one machine, each with a mains switch.

A host is a libvirtd in session mode, with folders of its own, in namespaces of its own; the death of what holds those
kills everything in them, the guests too. Only processes that a host of this lab started are ever signalled: they are
recognised by their PID namespace.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt

_NOBODY = 65534
_AS_ROOT = os.geteuid() == 0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TEMPLATE = """
<domain type='$virt_type'>
  <name>$name</name>
  <uuid>$uuid</uuid>
  <memory unit='MiB'>16</memory>
  <vcpu>$vcpus</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='$disk'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <memballoon model='none'/>
  </devices>
</domain>
"""


#: QEMU that takes no locks, as on storage where they do not work: a network file system mounted without them, say.
LOCKLESS_QEMU = """#!/bin/bash
arguments=()
for argument; do
    case $argument in
    '{"driver":"file",'*) argument='{"driver":"file","locking":"off",'${argument#'{"driver":"file",'} ;;
    esac
    arguments+=("$argument")
done
exec /usr/bin/qemu-system-x86_64 "${arguments[@]}"
"""


def eventually(check: Callable[[], object], seconds: float = 30.0, what: str = "") -> object:
    """Wait until ``check`` returns something true, and return that."""
    found = _in_time(check, seconds)
    assert found, what or f"not within {seconds:g} seconds"
    return found


def _in_time(check: Callable[[], object], seconds: float) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    return None


class Host:
    """One host of the lab."""

    def __init__(self, root: Path, name: str, number: int) -> None:
        self.name = name
        self.folder = root / name
        self.run = self.folder / "run"
        self._number = number
        self._init: subprocess.Popen[bytes] | None = None
        for folder in ("run", "home", "cache", "data", "config/libvirt"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        config = self.folder / "config/libvirt"
        (config / "libvirtd.conf").write_text(
            f'host_uuid = "00000000-0000-4000-8000-{number:012d}"\nauth_unix_rw = "none"\n'
            f'log_filters = "3:qemu 4:*"\nlog_outputs = "3:file:{self.folder}/libvirtd.log"\n'
        )
        (config / "qemu.conf").write_text('stdio_handler = "file"\nsecurity_driver = "none"\n')
        if _AS_ROOT:
            subprocess.run(["chown", "-R", f"{_NOBODY}:{_NOBODY}", str(self.folder)], check=True)
        self.run.chmod(0o700)

    @property
    def uri(self) -> str:
        return f"qemu+unix:///session?socket={self.run}/libvirt/libvirt-sock"

    @property
    def uid(self) -> int:
        return _NOBODY if _AS_ROOT else os.geteuid()

    @property
    def up(self) -> bool:
        return self._init is not None

    def power_on(self) -> None:
        """Boot the host; its daemon answers when this returns."""
        assert not self.up
        # A reboot empties this folder, too.
        shutil.rmtree(self.run)
        self.run.mkdir(mode=0o700)
        if _AS_ROOT:
            os.chown(self.run, _NOBODY, _NOBODY)
        isolate = ["unshare", "--pid", "--fork", "--kill-child", "--uts", "--mount", "--mount-proc"]
        if not _AS_ROOT:
            isolate[1:1] = ["--user", "--map-current-user", "--keep-caps"]
        # The first process of the host starts the daemon, reaps orphans, and stays when the daemon dies.
        script = 'hostname "$1"; shift; "$@" & while :; do sleep 3600 & wait $!; done'
        with (self.folder / "init.log").open("ab") as log:
            self._init = subprocess.Popen(
                [*isolate, "bash", "-c", script, "init", self.name, *self._daemon()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait()

    def power_off(self) -> None:
        """Cut the mains: the daemon and every guest die at once."""
        if self._init is None:
            return
        members = self._members()
        self._init.kill()
        self._init.wait()
        self._init = None
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in members), what=f"{self.name} lives on")

    def set_autostart(self, name: str) -> None:
        """Have a guest started with the host, while that is off."""
        folder = self.folder / "config/libvirt/qemu"
        (folder / "autostart").mkdir(exist_ok=True)
        os.chown(folder / "autostart", self.uid, -1)
        (folder / "autostart" / f"{name}.xml").symlink_to(folder / f"{name}.xml")

    def kill_daemon(self) -> None:
        """Kill the daemon alone; guests go on."""
        pid = self._daemon_pid()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}/exe").exists() or _is_zombie(pid))

    def start_daemon(self) -> None:
        """Start the daemon again on a host that lives."""
        inside = ["nsenter", "-t", str(self._members()[0]), "-p", "-m", "-u"]
        if not _AS_ROOT:
            inside[3:3] = ["--user", "--preserve-credentials"]
        said: list[str] = []

        def started() -> bool:
            done = subprocess.run([*inside, *self._daemon(), "-d"], check=False, capture_output=True, text=True)
            said.append(done.stderr)
            return done.returncode == 0

        # Right after the one before was killed, what that held may not be free yet.
        assert _in_time(started, 10), said[-1]
        self.wait()

    def freeze_daemon(self) -> None:
        """Have the daemon hang: it takes connections and says nothing."""
        os.kill(self._daemon_pid(), signal.SIGSTOP)

    def thaw_daemon(self) -> None:
        os.kill(self._daemon_pid(), signal.SIGCONT)

    def freeze(self) -> None:
        """Have everything on the host stand still."""
        for pid in self._members():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._members():
            os.kill(pid, signal.SIGCONT)

    def guest_pids(self) -> list[int]:
        """Return the QEMU processes that run on the host."""
        return [pid for pid in self._members() if _name_of(pid).startswith("qemu-system")]

    def qemu_log(self, name: str) -> Path:
        """Return where QEMU writes for a guest; it is there from the first start on."""
        return self.folder / "cache/libvirt/qemu/log" / f"{name}.log"

    @contextmanager
    def opened(self) -> Iterator["libvirt.virConnect"]:
        conn = libvirt.open(self.uri)
        try:
            yield conn
        finally:
            conn.close()

    def wipe(self) -> None:
        """Leave no guest, whatever state it is in, and no secret."""
        with self.opened() as conn:
            for secret in conn.listAllSecrets():
                secret.undefine()
            for domain in conn.listAllDomains():
                if domain.isActive():
                    domain.destroy()
                if domain.isPersistent():
                    domain.undefineFlags(
                        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                        | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
                    )
        shutil.rmtree(self.folder / "cache/libvirt/qemu/log", ignore_errors=True)

    def ready(self) -> None:
        """Be up, with a daemon that answers and no guest: whatever the test before did."""
        if self.up:
            self.thaw()
            try:
                self._daemon_pid()
            except ProcessLookupError:
                self.power_off()
        if not self.up:
            self.power_on()
        self.wipe()

    def wait(self) -> None:
        """Wait until the daemon answers."""

        def answers() -> bool:
            assert self._init is not None
            assert self._init.poll() is None, (self.folder / "init.log").read_text()
            command = ["virsh", "-q", "-c", self.uri, "uri"]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        eventually(answers, what=f"{self.name} does not answer")

    def _daemon(self) -> list[str]:
        environment = [f"PATH={_PATH}", f"HOME={self.folder}/home", f"XDG_RUNTIME_DIR={self.run}"]
        environment += [f"XDG_{part.upper()}_HOME={self.folder}/{part}" for part in ("config", "cache", "data")]
        drop = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if _AS_ROOT else []
        return [*drop, "env", "-i", *environment, "libvirtd"]

    def _daemon_pid(self) -> int:
        for pid in self._members():
            if _name_of(pid) == "libvirtd" and not _is_zombie(pid):
                return pid
        raise ProcessLookupError(self.name)

    def _members(self) -> list[int]:
        """Return the processes of the host, its first one first."""
        if self._init is None:
            return []
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
        if not children:
            return []
        first = int(children[0])
        own, ours = _namespace(first), _namespace(os.getpid())
        if own in (None, ours):
            return []
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [first, *(pid for pid in pids if pid != first and _namespace(pid) == own)]


def _namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
    except OSError:
        return ""


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Lab:
    """The hosts and the storage that they share."""

    def __init__(self, names: list[str]) -> None:
        # Paths of sockets must be short, and everything must be accessible to the hosts' user.
        self.root = Path(tempfile.mkdtemp(prefix="evlab-", dir="/tmp"))
        self.root.chmod(0o755)
        self.instances = self._shared("instances")
        self.images = self._shared("images")
        self.template = self.root / "template.xml"
        self.template.write_text(TEMPLATE)
        self.lockless_template = self.root / "lockless.xml"
        lockless = self.root / "lockless-qemu"
        lockless.write_text(LOCKLESS_QEMU)
        lockless.chmod(0o755)
        self.lockless_template.write_text(TEMPLATE.replace("/usr/bin/qemu-system-x86_64", str(lockless)))
        self.hosts = {name: Host(self.root, name, number) for number, name in enumerate(names, start=1)}

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def start(self) -> None:
        """Switch every host on; what the first finds out about QEMU need not be found out again."""
        first, *others = self.hosts.values()
        first.power_on()
        with first.opened() as conn:
            conn.getCapabilities()
            conn.getDomainCapabilities(None, "x86_64", "pc", "qemu")
        for other in others:
            subprocess.run(["cp", "-a", f"{first.folder}/cache/.", f"{other.folder}/cache"], check=True)
            other.power_on()

    def ready(self) -> None:
        """Give the next test hosts that are up and empty, and storage with nothing on it."""
        for host in self.hosts.values():
            host.ready()
        for folder in (self.instances, self.images):
            for path in folder.iterdir():
                path.unlink()

    def copies(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs, whatever their daemons say."""
        wanted = f"-uuid\0{uuid}\0".encode()
        return [
            host.name
            for host in self.hosts.values()
            for pid in host.guest_pids()
            if wanted in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def close(self) -> None:
        """Leave nothing."""
        for host in self.hosts.values():
            host.power_off()
        shutil.rmtree(self.root)

    def _shared(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir()
        folder.chmod(0o777)
        return folder
