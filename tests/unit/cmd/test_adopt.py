"""What is done to a domain, and said, when it could not be adopted."""

from types import SimpleNamespace

import pytest

from evacuator.cmd import adopt
from evacuator.errors import Conflict, DatabaseRefuses, DatabaseUnavailable, HypervisorUnknown
from evacuator.evacuation.states import PowerState

SILENT = HypervisorUnknown(host="a", reason="no answer")
FOUND = SimpleNamespace(
    name="web", uuid="u", vcpus=1, memory_mb=16, disk_gb=1, power_state=PowerState.SHUTDOWN, obstacles=(), marked=False
)
ARGS = SimpleNamespace(host="a", project="admin")


class Domains:
    """Those of a host: whether ours by their mark, and what goes wrong."""

    def __init__(self, takes=None, lets_go=None):
        self.marked = False
        self._troubles = {True: takes, False: lets_go}

    def take(self, _uuid, _cause):
        self._mark(ours=True)
        return SimpleNamespace(definition="<domain/>", key_ids=())

    def let_go(self, _uuid):
        self._mark(ours=False)

    def _mark(self, *, ours):
        if self._troubles[ours]:
            raise self._troubles[ours]
        self.marked = ours


def books(trouble):
    """Return an engine in whose database nothing can be written."""

    def write(_work):
        raise trouble

    return SimpleNamespace(database=SimpleNamespace(write=write))


@pytest.mark.parametrize("refusal", [Conflict(reason="No room."), DatabaseRefuses(reason="it is full")])
def test_a_domain_that_is_refused_is_let_go(refusal, capsys):
    domains = Domains()
    assert not adopt._adopt(books(refusal), domains, ARGS, FOUND)
    assert not domains.marked
    assert capsys.readouterr().out == f"web: not adopted\n    {refusal}\n"


def test_one_that_may_have_been_adopted_is_not_given_its_autostart_back(capsys):
    domains = Domains()
    assert not adopt._adopt(books(DatabaseUnavailable(reason="gone")), domains, ARGS, FOUND)
    assert domains.marked
    assert capsys.readouterr().out.startswith("web: nobody knows whether it is adopted; adopt it again\n")


@pytest.mark.parametrize("takes", [None, SILENT], ids=["refused", "not taken"])
def test_what_cannot_be_given_back_is_said_and_the_others_go_on(takes, capsys):
    domains = Domains(takes=takes, lets_go=SILENT)
    assert not adopt._adopt(books(Conflict(reason="No room.")), domains, ARGS, FOUND)
    assert "could not be given back: The hypervisor of host a did not answer" in capsys.readouterr().out
