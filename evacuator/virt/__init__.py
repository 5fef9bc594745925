"""Hypervisors behind one small contract: ``driver`` states it, ``simulated`` and ``libvirt`` keep it."""
