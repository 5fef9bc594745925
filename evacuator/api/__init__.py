"""The HTTP interface: everything that knows of requests, versions, faults and links, and nothing that decides."""
