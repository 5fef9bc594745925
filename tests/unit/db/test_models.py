import pytest

from evacuator.db.models import Instance


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        (None, "instance-000000ff"),
        ("<domain>\n  <name>web &amp; mail</name><metadata><name>x</name></metadata></domain>", "web & mail"),
        ("<guest><domain><name>db</name></domain><domainsnapshot><name>before</name></domainsnapshot></guest>", "db"),
        ("<domain/>", "instance-000000ff"),
    ],
)
def test_a_guest_is_called_what_its_hypervisor_calls_it(definition, name):
    assert Instance(id=255, definition=definition).instance_name == name
