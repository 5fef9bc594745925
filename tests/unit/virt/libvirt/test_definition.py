import pytest

from evacuator import errors
from evacuator.virt.driver import Guest
from evacuator.virt.libvirt import definition
from evacuator.virt.libvirt.definition import (
    Disk,
    DomainTemplate,
    HostChanges,
    Mark,
    Secret,
    bundle,
    disks_of,
    for_this_host,
    mark_of,
    secrets_of,
    unbundle,
)

UUID = "0b9d3c1e-5d7e-4c53-9f0a-0a4c5a0e6f11"
GUEST = Guest(UUID, 'it\'s <odd> & "quoted"', 2, 256, 10, None, "p")
MINIMAL = "<domain type='$virt_type'><name>$name</name><uuid>$uuid</uuid><devices><x>$disk</x></devices></domain>"


def xml(more="", uuid=UUID):
    return f"<domain type='kvm'><name>n</name><uuid>{uuid}</uuid>{more}</domain>"


class TestTemplate:
    def test_values_are_filled_in_as_text_not_as_xml(self):
        filled = DomainTemplate(MINIMAL, "qemu", "t").fill_in(GUEST, "/d/'<&")

        domain = definition.parse(filled, "it").documentElement
        assert definition.text_of(domain, "name") == GUEST.name
        assert domain.getAttribute("type") == "qemu"
        assert definition.text_of(definition.child(domain, "devices"), "x") == "/d/'<&"

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("<domain>", "not XML"),
            (MINIMAL.replace("$disk", "$dsik"), "dsik"),
            (MINIMAL.replace("$disk", "5 $"), "broken"),
            (MINIMAL.replace("$uuid", "x"), r"<uuid>\$uuid</uuid>"),
            (MINIMAL.replace("<name>$name</name>", ""), r"<name>\$name</name>"),
        ],
    )
    def test_a_template_that_makes_no_domain_is_refused_at_once(self, text, match):
        with pytest.raises(errors.NotConfigured, match=match):
            DomainTemplate(text, "kvm", "/etc/evacuator/guest.xml")

    def test_a_dollar_sign_can_be_written(self):
        filled = DomainTemplate(MINIMAL.replace("$disk", "$$5"), "kvm", "t").fill_in(GUEST, "/d")

        assert "<x>$5</x>" in filled


class TestMark:
    @pytest.mark.parametrize(
        "mark",
        [
            Mark("migration 7 attempt 2"),
            Mark("a 'b' <c> & \"d\"", autostart=True),
            Mark("migration 7 attempt 2", replaced=True),
        ],
    )
    def test_it_is_read_as_it_was_written(self, mark):
        assert mark_of(mark.xml) == mark

    def test_it_goes_beside_what_others_wrote(self):
        others = "<metadata><o:info xmlns:o='http://example.org/o' x='1'><!-- hands off --></o:info></metadata>"

        marked = for_this_host(xml(others), UUID, HostChanges(), Mark("c"))

        assert '<o:info xmlns:o="http://example.org/o" x="1"><!-- hands off --></o:info>' in marked
        assert '<evacuator:instance xmlns:evacuator="urn:evacuator:instance:1" cause="c"/></metadata>' in marked

    def test_one_that_is_there_stays(self):
        marked = for_this_host(xml(), UUID, HostChanges(), Mark("first", autostart=True))

        assert for_this_host(marked, UUID, HostChanges(), Mark("second")) == marked

    def test_one_that_is_there_says_nothing_of_the_disks_here(self):
        marked = for_this_host(xml(), UUID, HostChanges(), Mark("first", replaced=True))

        assert for_this_host(marked, UUID, HostChanges(), Mark("second")) == marked.replace(' replaced="yes"', "")


class TestHostChanges:
    def change(self, more, **changes):
        return for_this_host(xml(more), UUID, HostChanges(**changes), Mark("c"))

    def test_nothing_changes_but_for_the_mark_where_nothing_is_configured(self):
        more = '<cpu mode="custom"><model>m</model></cpu><devices><emulator>/q</emulator></devices><!-- c -->'

        changed = self.change(more)

        mark = '<metadata><evacuator:instance xmlns:evacuator="urn:evacuator:instance:1" cause="c"/></metadata>'
        assert changed.replace(mark, "") == xml(more).replace("'", '"')

    def test_consoles_move_to_this_hosts_address(self):
        more = (
            "<devices><graphics type='vnc' listen='10.0.0.1'><listen type='address' address='10.0.0.1'/></graphics>"
            "<graphics type='spice' listen='0.0.0.0'/><graphics type='vnc'><listen type='socket'/></graphics></devices>"
        )

        changed = self.change(more, graphics_listen="10.0.0.2")

        assert 'listen="10.0.0.2"><listen type="address" address="10.0.0.2"/>' in changed
        assert 'listen="0.0.0.0"' in changed
        assert '<listen type="socket"/>' in changed
        assert "10.0.0.1" not in changed

    @pytest.mark.parametrize("devices", ["<devices/>", "<devices><emulator>/old</emulator></devices>"])
    def test_the_emulator_is_this_hosts(self, devices):
        assert "<devices><emulator>/new</emulator></devices>" in self.change(devices, emulator="/new")

    def test_a_domain_without_devices_gets_no_emulator(self):
        assert "emulator" not in self.change("", emulator="/new")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("", '<cpu mode="host-model"/>'),
            (
                "<cpu mode='custom'><model>m</model><topology sockets='1'/></cpu>",
                '<cpu mode="host-model"><topology sockets="1"/></cpu>',
            ),
        ],
    )
    def test_the_cpu_is_replaced_but_not_its_topology(self, before, after):
        assert after in self.change(before, cpu_mode="host-model")

    @pytest.mark.parametrize("wrong", [xml(uuid="other"), "<domain/>"])
    def test_a_definition_of_another_guest_is_refused(self, wrong):
        with pytest.raises(errors.DriverError, match="not that of a domain of this id"):
            for_this_host(wrong, UUID, HostChanges(), Mark("c"))


class TestBundle:
    def test_what_was_put_together_is_taken_apart(self):
        domain, first, second = (
            '<domain type="kvm"><a/></domain>',
            "<domainsnapshot><name>1</name></domainsnapshot>",
            "<x/>",
        )

        assert unbundle(bundle(domain, [first, second]), UUID) == (domain, [first, second])

    def test_a_guest_without_snapshots_is_stored_as_libvirt_describes_it(self):
        assert bundle(xml(), []) == xml()
        assert unbundle(xml(), UUID) == (xml(), [])

    @pytest.mark.parametrize("stored", ["<guest/>", "<guest>"])
    def test_what_is_no_bundle_is_refused(self, stored):
        with pytest.raises(errors.DriverError, match=UUID):
            unbundle(stored, UUID)


class TestDisks:
    def test_each_kind_of_disk_is_read(self):
        more = """<devices>
          <disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
          <disk type='block'><source dev='/dev/b' startupPolicy='optional'/><target dev='vdb'/></disk>
          <disk type='network' device='disk'><source protocol='rbd' name='p/i'/><target dev='vdc'/></disk>
          <disk type='file' device='cdrom'><source file='/c'/><target dev='sda'/><readonly/></disk>
          <disk type='file' device='cdrom'><target dev='sdb'/><readonly/></disk>
          <disk type='file' device='disk'><source file='/s'/><target dev='vdd'/><shareable/></disk>
        </devices>"""

        disks = disks_of(xml(more))

        assert disks == [
            Disk("vda", "file", "/a"),
            Disk("vdb", "block", "/dev/b", optional=True),
            Disk("vdc", "network", None),
            Disk("sda", "file", "/c", device="cdrom", readonly=True),
            Disk("vdd", "file", "/s", shareable=True),
        ]
        assert [disk.target for disk in disks if disk.written] == ["vda", "vdb", "vdc"]

    def test_a_domain_without_devices_has_none(self):
        assert disks_of(xml()) == []


class TestSecrets:
    FIRST, SECOND, THIRD = (f"{number}d9a5a3c-6f3e-4f0c-9c58-1f7f0d5b7c11" for number in "123")

    def secret(self, more):
        return f"<encryption format='luks'><secret type='passphrase' {more}/></encryption>"

    def test_each_secret_that_opens_a_disk_is_found_once_wherever_it_is_written(self):
        first, second, third = (self.secret(f"uuid='{uuid}'") for uuid in (self.FIRST, self.SECOND.upper(), self.THIRD))
        more = f"""<devices>
          <disk type='file'><source file='/a'>{first}</source><target dev='vda'/></disk>
          <disk type='file'><source file='/b'/><target dev='vdb'/>{second}</disk>
          <disk type='file'><source file='/c'>{first}</source>
            <backingStore type='file'><source file='/d'>{third}</source></backingStore></disk>
        </devices>"""

        assert secrets_of(xml(more)) == [Secret(self.FIRST), Secret(self.SECOND), Secret(self.THIRD)]

    def test_one_that_is_named_by_its_usage_is_found_too(self):
        secret = self.secret("usage='/a'")
        more = f"<devices><disk type='file'><source file='/a'>{secret}</source></disk></devices>"

        assert secrets_of(xml(more)) == [Secret("", usage="/a")]

    def test_what_a_host_shows_to_a_storage_server_is_no_key_to_a_disk(self):
        auth = f"<auth username='u'><secret type='ceph' uuid='{self.FIRST}'/></auth>"
        more = (
            f"<devices><disk type='network'><source protocol='rbd' name='p/i'>{auth}</source></disk>"
            f"<tpm><backend type='emulator'><encryption secret='{self.SECOND}'/></backend></tpm></devices>"
        )

        assert secrets_of(xml(more)) == []

    def test_a_domain_without_devices_has_none(self):
        assert secrets_of(xml()) == []
