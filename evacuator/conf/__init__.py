"""The configuration options, one module per group: ``GROUP``, ``OPTS`` and ``register(conf)``.

Options are registered by the name of their group, never with the ``GROUP`` itself: its copies in two ``ConfigOpts``
would share their values. ``opts`` collects them, for the composition roots and for ``oslo-config-generator``.
"""
