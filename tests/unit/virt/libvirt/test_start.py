import pytest

from evacuator import errors
from evacuator.clock import boot_clock
from evacuator.virt.libvirt.start import Start


def test_a_start_is_made_at_once():
    Start("web", "req-1").require_prompt("a", 30.0, boot_clock())


def test_one_to_which_the_hypervisor_comes_too_late_is_not_made_and_says_so():
    start = Start("web", "req-1", begun=100.0)

    start.require_prompt("a", 30.0, 130.0)
    with pytest.raises(errors.DriverError, match="of host a came to the start of instance web after 31 seconds"):
        start.require_prompt("a", 30.0, 131.0)
