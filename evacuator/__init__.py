"""Bring the instances of a dead hypervisor host back on other hosts, in the power state that was asked for."""
