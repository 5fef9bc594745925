"""``[simulated]``: what the simulated hypervisors have, how slow they are and what goes wrong on them."""

from oslo_config import cfg

from evacuator.conf.finite import FiniteOpt

GROUP = cfg.OptGroup(
    "simulated",
    title="The simulated hypervisor",
    help="What each simulated host has, and how it behaves. Only with [compute] driver = simulated.",
)

OPTS = [
    cfg.IntOpt("vcpus", default=256, min=1, help="Virtual CPUs of each simulated host."),
    cfg.IntOpt("memory_mb", default=524288, min=1, help="Memory of each simulated host, in MiB."),
    cfg.IntOpt("local_gb", default=10240, min=1, help="Disk space of each simulated host, in GiB."),
    cfg.BoolOpt(
        "shared_storage",
        default=True,
        help="Whether all simulated hosts see the same disks. If not, each has its own, and an instance can be "
        "evacuated only by making its disk anew.",
    ),
    FiniteOpt("define_seconds", default=0.0, min=0, help="How long it takes to make a guest exist."),
    FiniteOpt("power_on_seconds", default=0.0, min=0, help="How long it takes to start a guest."),
    FiniteOpt("power_off_seconds", default=0.0, min=0, help="How long it takes to stop a guest."),
    cfg.ListOpt(
        "faults",
        default=[],
        sample_default="define@b:2, power_on@c=timeout",
        help="Operations that go wrong, each as OPERATION[@HOST][:COUNT][=KIND]: on that host (else on every one), "
        "that many times per host since its start (else always). OPERATION: facts, inventory, find, define, "
        "power_on, power_off, reboot_softly, reboot, destroy, set_aside or take_keys_back. KIND: refuse (the default: "
        "it certainly did not happen), timeout (it did not happen, but nobody knows), lost (it did happen, but nobody "
        "knows), missing (the disk is not there), locked (somebody else writes to the disk) or full (the host has no "
        "space left).",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of this module with ``conf``."""
    conf.register_opts(OPTS, group=GROUP.name)
