"""Hypervisors."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evacuator.api.microversions import Behaviours
from evacuator.db.models import Instance
from evacuator.db.pages import Hypervisor


@dataclass(frozen=True)
class HypervisorView:
    """Shows hypervisors at one version."""

    behaviour: Behaviours

    def brief(self, hypervisor: Hypervisor) -> dict[str, Any]:
        """Show a hypervisor as a list does."""
        node, service = hypervisor.node, hypervisor.service
        return {
            "id": node.uuid if self.behaviour.names_services_by_uuid else node.id,
            "hypervisor_hostname": node.hypervisor_hostname,
            "state": "up" if hypervisor.up else "down",
            "status": "disabled" if service.disabled else "enabled",
        }

    def whole(self, hypervisor: Hypervisor) -> dict[str, Any]:
        """Show all of a hypervisor."""
        node, service = hypervisor.node, hypervisor.service
        shown = self.brief(hypervisor) | totals([hypervisor])
        del shown["count"]
        shown |= {
            "hypervisor_type": node.hypervisor_type,
            "hypervisor_version": node.hypervisor_version,
            "host_ip": node.host_ip,
            "service": {
                "id": service.uuid if self.behaviour.names_services_by_uuid else service.id,
                "host": service.host,
                "disabled_reason": service.disabled_reason,
            },
            "cpu_info": node.cpu_info if self.behaviour.shows_cpu_as_object else json.dumps(node.cpu_info),
            "uptime": None,
        }
        return {key: value for key, value in shown.items() if key not in self.behaviour.hypervisor_absent}

    def servers(self, instances: Sequence[Instance]) -> dict[str, Any]:
        """Show the servers of a hypervisor, by the names that it knows them by."""
        if not instances and not self.behaviour.shows_no_servers_as_list:
            return {}
        return {"servers": [{"name": instance.instance_name, "uuid": instance.uuid} for instance in instances]}


def totals(hypervisors: Iterable[Hypervisor]) -> dict[str, int]:
    """Sum up what hypervisors have and what is claimed of it."""
    nodes = [hypervisor.node for hypervisor in hypervisors]
    return {
        "count": len(nodes),
        "vcpus": sum(node.vcpus for node in nodes),
        "memory_mb": sum(node.memory_mb for node in nodes),
        "local_gb": sum(node.local_gb for node in nodes),
        "vcpus_used": sum(node.vcpus_used for node in nodes),
        "memory_mb_used": sum(node.memory_mb_used for node in nodes),
        "local_gb_used": sum(node.local_gb_used for node in nodes),
        "free_ram_mb": sum(node.memory_mb - node.memory_mb_used for node in nodes),
        "free_disk_gb": sum(node.local_gb - node.local_gb_used for node in nodes),
        "current_workload": 0,
        "running_vms": sum(node.claims for node in nodes),
        "disk_available_least": sum(node.local_gb - node.local_gb_used for node in nodes),
    }
