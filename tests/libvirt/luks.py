"""Encrypted disks: a witness in a LUKS-encrypted qcow2 file."""

import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evacuator.keys.manager import Key
from evacuator.virt.driver import Guest
from tests.libvirt import witness
from tests.libvirt.lab import TEMPLATE, eventually

PASSPHRASE = "correct horse battery staple"
ENCRYPTION = "<encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption>"


class Volume:
    """An encrypted disk whose guest counts its boots on it; ``key`` opens it."""

    def __init__(self, path: Path, secret: str | None = None, passphrase: str = PASSPHRASE) -> None:
        self.path = path
        self.key = Key(secret or str(uuid.uuid4()), passphrase.encode())
        with tempfile.NamedTemporaryFile(suffix=".raw") as raw, self._opened() as key:
            witness.build(Path(raw.name))
            options = "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"
            command = ["qemu-img", "convert", *key, "-f", "raw", "-O", "qcow2", "-o", options, raw.name, str(path)]
            # It measures the processor first, and gives up where that is too busy.
            eventually(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
        path.chmod(0o666)

    @property
    def source(self) -> str:
        """What stands in the definition of its guest."""
        return f"<source file='{self.path}'>{ENCRYPTION.format(secret=self.key.id)}</source>"

    def domain(self, guest: Guest) -> str:
        """Return the definition of a guest that has this disk."""
        domain = TEMPLATE.replace("<source file='$disk'/>", self.source)
        values = {"$virt_type": "qemu", "$name": guest.name, "$uuid": guest.uuid, "$vcpus": "1"}
        for name, value in values.items():
            domain = domain.replace(name, value)
        return domain

    def boots(self) -> int:
        """Return how often the guest was booted in its life."""
        image = f"driver=qcow2,encrypt.key-secret=key,file.filename={self.path}"
        with tempfile.NamedTemporaryFile(suffix=".raw") as plain, self._opened() as key:
            command = ["qemu-img", "convert", "-U", *key, "--image-opts", image, "-O", "raw", plain.name]
            subprocess.run(command, check=True)
            return witness.read(Path(plain.name)).boots

    @contextmanager
    def _opened(self) -> Iterator[list[str]]:
        """Give QEMU's tools the key in a file: on a command line everybody could read it."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key.passphrase)
            file.flush()
            yield ["--object", f"secret,id=key,file={file.name}"]
