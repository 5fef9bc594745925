"""The keys of encrypted disks, and who has them.

``manager`` states what a key manager is asked; ``castellan`` asks Barbican, or whatever else the library of that name
knows. Only that one imports it, and it is imported only where it is configured.
"""
