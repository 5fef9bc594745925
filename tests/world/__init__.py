"""A whole cloud in one process: production code, a virtual clock, and faults on command.

``clockwork`` is time and tasks, ``boundaries`` everything through which production code touches the world, ``world``
puts processes and hosts together, ``commands`` lets people speak to it, ``watch`` checks the promise at every step.
"""
