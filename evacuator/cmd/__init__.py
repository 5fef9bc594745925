"""Composition roots: each command reads the configuration, builds its parts, wires and runs them.

A module has ``add_parser(subparsers)``, which sets ``run`` as its parser's default: ``run(args)`` returns the exit
status.
"""
