import pytest

from evacuator.virt.libvirt.survey import Size, notes, obstacles, size_of

SHARED = ["/srv/vms", "/dev/mapper/san-"]


def xml(devices="", more=""):
    return f"<domain type='kvm'><name>n</name>{more}<devices>{devices}</devices></domain>"


def disk(path, kind="file", attribute="file"):
    return f"<disk type='{kind}'><source {attribute}='{path}'/><target dev='vda'/></disk>"


@pytest.mark.parametrize(
    "devices",
    [
        "",
        disk("/srv/vms/a.qcow2"),
        disk("/srv/vms/web/../a.qcow2"),
        disk("/srv/./vms//a.qcow2"),
        disk("/dev/mapper/san-7", "block", "dev"),
        "<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vda'/></disk>",
        "<disk type='file' device='cdrom'><target dev='sda'/></disk>",
        "<disk type='file' device='cdrom'><source file='/iso' startupPolicy='optional'/><target dev='sda'/></disk>",
        "<interface type='bridge'><source bridge='br0'/></interface>",
        "<memory model='dimm'/>",
    ],
)
def test_what_another_host_can_run(devices):
    assert obstacles(xml(devices), SHARED) == []


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        (disk("/var/lib/libvirt/images/a.qcow2"), r"disk vda (/var/lib/libvirt/images/a.qcow2) is not on a path"),
        (disk("/srv/vms-local/a"), "is not on a path that every host has"),
        (disk("/srv/vms/../../home/x"), "disk vda (/srv/vms/../../home/x) is not on a path that every host has"),
        (disk("/srv/vms/.."), "is not on a path that every host has"),
        (disk("/dev/mapper/san-/../local"), "is not on a path that every host has"),
        ("<disk type='volume'><source pool='p' volume='v'/><target dev='vdb'/></disk>", "disk vdb is of type volume"),
        ("<hostdev type='pci'/>", "a pci device of its host"),
        ("<interface type='hostdev'/>", "a network card of its host"),
        ("<filesystem><source dir='/home'/></filesystem>", "a folder of its host is passed through to it (/home)"),
        ("<tpm><backend type='emulator'/></tpm>", "the state of its TPM (emulator)"),
        ("<memory model='nvdimm'/>", "its persistent memory"),
    ],
)
def test_what_another_host_cannot_run_and_why(devices, reason):
    (found,) = obstacles(xml(devices), SHARED)
    assert reason in found


@pytest.mark.parametrize(
    ("shared", "path", "reasons"),
    [
        ("/srv/vms/", "/srv/vms/a", 0),
        ("/srv/../mnt/vms", "/mnt/vms/a", 0),
        ("/srv/../mnt/vms", "/srv/../mnt/vms/a", 0),
        ("/", "/anywhere/a", 0),
        ("/dev/mapper/san-", "/dev/mapper/san-7", 0),
        ("/dev/./mapper/san-", "/dev/mapper/san-7", 0),
        ("/dev/mapper/san-/", "/dev/mapper/san-7", 1),
        ("", "/anywhere/a", 1),
    ],
)
def test_paths_are_compared_without_their_detours(shared, path, reasons):
    assert len(obstacles(xml(disk(path)), [shared])) == reasons


@pytest.mark.parametrize(
    ("booted", "reasons"),
    [
        ("<kernel>/srv/vms/vmlinuz</kernel><initrd>/srv/vms/initrd</initrd><dtb>/srv/vms/board.dtb</dtb>", []),
        ("<kernel/>", []),
        ("<kernel>/local/vmlinuz</kernel>", ["its kernel (/local/vmlinuz) is not on a path that every host has"]),
        (
            "<kernel>/srv/vms/../vmlinuz</kernel><initrd>/local/initrd</initrd><dtb>/local/board.dtb</dtb>",
            [
                "its kernel (/srv/vms/../vmlinuz) is not on a path that every host has",
                "its initial RAM disk (/local/initrd) is not on a path that every host has",
                "its device tree (/local/board.dtb) is not on a path that every host has",
            ],
        ),
    ],
)
def test_what_a_guest_is_booted_with_is_in_files_too(booted, reasons):
    assert obstacles(xml(more=f"<os><type>hvm</type>{booted}</os>"), SHARED) == reasons


@pytest.mark.parametrize(
    ("more", "reasons"),
    [
        ("<os><acpi><table type='slic'>/srv/vms/slic.bin</table></acpi></os>", []),
        (
            "<os><acpi><table type='slic'>/local/slic.bin</table></acpi></os>",
            ["its ACPI table (/local/slic.bin) is not on a path that every host has"],
        ),
        (
            "<sysinfo type='fwcfg'><entry name='opt/a'>b</entry><entry name='opt/c' file='/local/c.ign'/></sysinfo>",
            ["its firmware setting (/local/c.ign) is not on a path that every host has"],
        ),
    ],
)
def test_what_its_firmware_is_given_may_be_in_files(more, reasons):
    assert obstacles(xml(more=more), SHARED) == reasons


@pytest.mark.parametrize(
    ("os", "reasons"),
    [
        ("<os><type>hvm</type></os>", 0),
        ("<os><nvram>/srv/vms/a.fd</nvram></os>", 0),
        ("<os><nvram type='file'><source file='/srv/vms/a.fd'/></nvram></os>", 0),
        ("<os><nvram>/var/lib/libvirt/qemu/nvram/a.fd</nvram></os>", 1),
        ("<os><nvram>/srv/vms/../a.fd</nvram></os>", 1),
        ("<os firmware='efi'><type>hvm</type></os>", 1),
    ],
)
def test_firmware_keeps_its_variables_in_a_file(os, reasons):
    assert len(obstacles(xml(more=os), SHARED)) == reasons


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ("<memory>2097152</memory><vcpu>4</vcpu>", Size(4, 2048)),
        ("<memory unit='GiB'>3</memory><vcpu current='1'>2</vcpu>", Size(2, 3072)),
        ("<memory unit='b'>1048576</memory>", Size(1, 1)),
    ],
)
def test_what_a_guest_takes(more, size):
    assert size_of(xml(more=more)) == size


@pytest.mark.parametrize(
    ("named", "note"),
    [
        (
            "uuid='0D9A5A3C-6f3e-4f0c-9c58-1f7f0d5b7c11'",
            "only who may read secret 0d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11",
        ),
        ("usage='/srv/vms/a.qcow2'", "is named by its usage (/srv/vms/a.qcow2): only a host that has it for good"),
    ],
)
def test_who_can_start_an_encrypted_guest_is_said(named, note):
    encryption = f"<encryption format='luks'><secret type='passphrase' {named}/></encryption>"
    devices = disk("/srv/vms/a.qcow2").replace("<target", f"{encryption}<target")
    (said,) = notes(xml(devices))
    assert note in said
    assert obstacles(xml(devices), SHARED) == []


def test_nothing_is_said_of_a_guest_that_is_not_encrypted():
    assert list(notes(xml(disk("/srv/vms/a.qcow2")))) == []
