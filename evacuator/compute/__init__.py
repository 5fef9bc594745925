"""The process on each host: it claims evacuations, drives the hypervisor, cleans up, and reports alive."""
