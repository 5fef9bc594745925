"""Disks that tell how often, and whether still, a guest was run from them. The boot sector is witness.S, assembled."""

import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_CODE = bytes.fromhex(
    "31c08ed88ec08ed0bc007cfb8816007ab402e8360066ff06007eb403e82c00baf803b042ee833e0a"
    "7e007407ba0406b80020ef8b0e087ee30ff4e2fd66ff06047eb403e80500ebebf4ebfdb001b90200"
    "b6008a16007abb007ecd13c3"
)
_BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"
_DIARY = struct.Struct("<IIHH4s")
_MAGIC = b"WITN"
SIZE = 1 << 20


@dataclass(frozen=True)
class Diary:
    boots: int
    beats: int


def build(path: Path, *, period: int = 0, switches_off: bool = False) -> None:
    """Make a disk that nobody was run from yet, raw or qcow2 by its name."""
    content = (_BOOT_SECTOR + _DIARY.pack(0, 0, period, int(switches_off), _MAGIC)).ljust(SIZE, b"\0")
    if path.suffix != ".qcow2":
        path.write_bytes(content)
    else:
        with tempfile.NamedTemporaryFile() as raw:
            raw.write(content)
            raw.flush()
            command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw.name, str(path)]
            subprocess.run(command, check=True)
    path.chmod(0o666)


def read(path: Path) -> Diary:
    """Read a disk, also while a guest runs from it.

    Such a guest may be moving the sector to another place in a qcow2 file; then it is read again.
    """
    for _ in range(20):
        sector = _sector(path)
        boots, beats, _period, _switches_off, magic = _DIARY.unpack_from(sector)
        if magic == _MAGIC:
            return Diary(boots, beats)
        time.sleep(0.05)
    raise AssertionError(f"{path} is no witness: {sector[:16]!r}")


def _sector(path: Path) -> bytes:
    if path.suffix == ".qcow2":
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "sector"
            command = ["qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", "bs=512", "skip=1", "count=2"]
            subprocess.run([*command, f"if={path}", f"of={raw}"], check=True, capture_output=True)
            return raw.read_bytes()
    return path.read_bytes()[512:1024]
