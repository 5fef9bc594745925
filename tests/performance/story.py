"""What one evacuation, one look and one turn of each timer send to the database: the same on every database."""

ACCEPT = [
    "SELECT instances",  # with it: is some compute too old?
    "UPDATE instances",
    "SELECT compute_nodes",
    "INSERT migrations",
    "INSERT instance_actions",
    "INSERT instance_actions_events",
    "INSERT allocations",
    "UPDATE services",  # from here on who evacuates the same host at the same time waits
    "UPDATE compute_nodes",
    "COMMIT",
]
CLAIM = [
    "SELECT migrations",  # with it: the instance, and whether the storage is shared
    "UPDATE migrations",
    "INSERT instance_actions_events",
    "COMMIT",
]
OWN = ["UPDATE instances", "UPDATE migrations", "COMMIT"]
FINISH = [
    "UPDATE instances",
    "UPDATE migrations",
    "UPDATE instance_actions_events",
    "UPDATE instance_actions",
    "COMMIT",
]

#: At 2.95: 16 statements and 3 commits.
STOPPED = ACCEPT + CLAIM + FINISH
#: Below, of a server that was active: the destination owns it before it powers it on.
STARTED = ACCEPT + CLAIM + OWN + FINISH

#: One turn of each timer of a host with nothing to do. ``clean`` and ``sync`` look at the host's own instances.
TURNS = {
    "beat": ["UPDATE services", "COMMIT"],
    "sweep": ["SELECT migrations", "SELECT instances"],
    "settle": ["SELECT migrations"],
    "clean": ["SELECT instances", "SELECT migrations"],
    "sync_power": ["SELECT instances"],
}


def costs_of(site, work):
    """Return what ``work`` sends to the database, in words."""
    with site.watched() as seen:
        work()
    return [str(statement) for statement in seen]


def posted(site, server, version):
    """Return the work of evacuating a server by the API, compute included."""
    return lambda: site.ask("POST", f"/servers/{server}/action", {"evacuate": {}}, version)
