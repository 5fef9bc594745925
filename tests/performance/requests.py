"""What is asked of a large site: each kind of request, and each turn of each timer."""

from tests.performance.story import TURNS

#: Not GET /os-services and /os-hypervisors for all hosts: they are as long as the site is large.
LISTS = (
    "/servers/detail?limit=50",
    "/servers/detail?all_tenants=1&limit=50",
    "/servers?all_tenants=1&host=filler-host-7",
    "/servers?all_tenants=1&host=filler-host-7&status=ACTIVE",
    "/servers/detail?all_tenants=1&project_id=project-7",
    "/servers/detail?all_tenants=1&limit=50&marker=filler-3",
    "/os-migrations?limit=100",
    "/os-migrations?status=done",
    "/os-migrations?source_compute=filler-host-7",
    "/os-migrations?migration_type=evacuation&limit=100",
    "/os-services?host=b",
)


def everything(site):
    """Ask each once."""
    of_servers(site)
    of_evacuations(site)
    for path in LISTS:
        site.ask("GET", path)
    for turn in TURNS:
        for manager in site.casts.managers.values():
            getattr(manager, turn)()


def of_servers(site):
    """Do to a server what can be done to one that nothing is wrong with."""
    server = site.add_server("b")
    for action in (
        {"os-stop": None},
        {"os-start": None},
        {"reboot": {"type": "HARD"}},
        {"lock": None},
        {"unlock": None},
    ):
        site.ask("POST", f"/servers/{server}/action", action)
    site.ask("POST", f"/servers/{server}/action", {"os-resetState": {"state": "error"}})
    actions = site.ask("GET", f"/servers/{server}/os-instance-actions").json["instanceActions"]
    site.ask("GET", f"/servers/{server}/os-instance-actions/{actions[0]['request_id']}")
    site.ask("GET", f"/servers/{server}")
    site.ask("DELETE", f"/servers/{server}")


def of_evacuations(site):
    """Evacuate, to a chosen host and to a named one, then let the source clean up."""
    servers = [site.add_server() for _ in range(3)]
    site.force_down()
    manager = site.casts.managers["a"]
    manager.sync_power()
    site.evacuate(servers[0])
    site.evacuate(servers[1], "2.94")
    site.ask("GET", f"/os-migrations?instance_uuid={servers[0]}")
    site.ask("POST", f"/servers/{servers[2]}/action", {"evacuate": {"host": "c"}})
    manager.beat()
