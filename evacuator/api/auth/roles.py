"""The users, projects and roles that exist where there is no Keystone to say so."""

#: The user who is an administrator under ``noauth``, and the project of whoever is given no other.
ADMIN = "admin"

ADMIN_ROLES = ("admin", "manager", "member", "reader")
MEMBER_ROLES = ("member", "reader")
