"""Keys that are lent to a real daemon by way of a connection that does not always answer as it should."""

import uuid

import libvirt
import pytest

from evacuator.errors import DriverError
from evacuator.keys.manager import Key
from evacuator.virt.libvirt import loans
from evacuator.virt.libvirt.connection import Call, Session
from evacuator.virt.libvirt.loans import Loans


def undecodable():
    """Make what the bindings raise in place of an error whose message is no UTF-8."""
    error = SystemError("<built-in function> returned a result with an exception set")
    error.__cause__ = UnicodeDecodeError("utf-8", b"Zugang ge\xe4ndert", 9, 10, "invalid continuation byte")
    return error


def refusal(code):
    error = libvirt.libvirtError("refused")
    error.err = (code, libvirt.VIR_FROM_SECRET, "refused", libvirt.VIR_ERR_ERROR, None, None, None, -1, -1)
    return error


class Faulty:
    """A connection, or a secret that came over it. The next call of each of ``faults``, by its name, raises that."""

    def __init__(self, real, faults):
        self._real = real
        self._faults = faults

    def __getattr__(self, name):
        def call(*arguments):
            if name in self._faults:
                raise self._faults.pop(name)
            return self._wrapped(getattr(self._real, name)(*arguments))

        return call

    def _wrapped(self, answer):
        if isinstance(answer, list):
            return [self._wrapped(each) for each in answer]
        return Faulty(answer, self._faults) if isinstance(answer, libvirt.virSecret) else answer


@pytest.fixture
def faults():
    return {}


@pytest.fixture
def conn(lab, faults):
    with lab["b"].opened() as real:
        yield Faulty(real, faults)


@pytest.fixture
def lender(conn):
    """Who has looked for what its predecessor left."""
    made = Loans("b", patience=5)
    made.take_back(conn)
    return made


@pytest.fixture
def key():
    return Key(str(uuid.uuid4()), b"correct horse")


def secrets(lab):
    with lab["b"].opened() as conn:
        return sorted(secret.UUIDString() for secret in conn.listAllSecrets())


def leave_behind(conn, key):
    xml = f"<secret ephemeral='yes' private='yes'><uuid>{key.id}</uuid><description>{loans.MARK}</description></secret>"
    conn.secretDefineXML(xml).setValue(key.passphrase)


def test_a_key_that_could_not_be_taken_back_after_its_start_is_taken_back_later(lab, conn, faults, lender, key):
    with lender.lent(Call(Session(conn, 0)), [key], "req-1"):
        faults["undefine"] = undecodable()
    assert secrets(lab) == [key.id]

    lender.take_back(conn)

    assert secrets(lab) == []


def test_a_secret_that_was_defined_goes_when_it_cannot_be_given_its_value(lab, conn, faults, lender, key):
    faults["setValue"] = undecodable()

    with (
        pytest.raises(DriverError, match="Zugang ge\N{REPLACEMENT CHARACTER}ndert"),
        lender.lent(Call(Session(conn, 0)), [key], "req-1"),
    ):
        pass

    assert secrets(lab) == []


@pytest.mark.parametrize("name", ["undefine", "XMLDesc"])
def test_one_that_cannot_be_taken_back_holds_up_no_other_and_is_looked_at_again(lab, conn, faults, name):
    left = [Key(str(uuid.uuid4()), b"left") for _ in range(3)]
    for key in left:
        leave_behind(conn, key)
    faults[name] = undecodable()
    lender = Loans("b", patience=5)

    lender.take_back(conn)
    assert len(secrets(lab)) == 1

    lender.take_back(conn)
    assert secrets(lab) == []


def test_a_look_that_did_not_come_to_its_end_is_begun_again(lab, conn, faults, key):
    leave_behind(conn, key)
    faults["UUIDString"] = undecodable()
    lender = Loans("b", patience=5)

    with pytest.raises(SystemError):
        lender.take_back(conn)
    lender.take_back(conn)

    assert secrets(lab) == []


@pytest.mark.parametrize("error", [refusal(libvirt.VIR_ERR_INTERNAL_ERROR), undecodable()], ids=["words", "bytes"])
def test_a_host_that_does_not_tell_its_secrets_is_asked_again_and_complained_of_once(
    lab, conn, faults, key, error, caplog
):
    leave_behind(conn, key)
    lender = Loans("b", patience=5)

    for _ in range(2):
        faults["listAllSecrets"] = error
        lender.take_back(conn)
    assert secrets(lab) == [key.id]
    assert [each.levelname for each in caplog.records if "does not tell" in each.message] == ["WARNING"]
    lender.take_back(conn)

    assert secrets(lab) == []


def test_a_hypervisor_that_knows_no_secrets_holds_none():
    conn = libvirt.open("test:///default")
    with pytest.raises(libvirt.libvirtError) as refused:
        conn.listAllSecrets()
    assert refused.value.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT
    faults = {}
    lender = Loans("b", patience=5)

    lender.take_back(Faulty(conn, faults))

    faults["listAllSecrets"] = AssertionError("it was asked again")
    lender.take_back(Faulty(conn, faults))
    conn.close()


def test_a_debt_that_is_made_during_a_look_is_looked_for_by_the_next(lab, conn, faults, key):
    lender, slow = Loans("b", patience=5), Faulty(conn, faults)

    def list_and_have_a_start_leave_its_key(*arguments):
        found = conn.listAllSecrets(*arguments)
        with lender.lent(Call(Session(conn, 0)), [key], "req-1"):
            faults["undefine"] = undecodable()
        return found

    slow.listAllSecrets = list_and_have_a_start_leave_its_key
    lender.take_back(slow)
    assert secrets(lab) == [key.id]

    lender.take_back(conn)

    assert secrets(lab) == []
