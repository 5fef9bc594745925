"""Real services of OpenStack, from a package index, each in a process of its own: what clouds are made of."""
