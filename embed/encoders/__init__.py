"""The registry: each file of this folder is one family of encoders.

A family is a module with ``load(model, **settings) -> Encoder`` and, where it has one, ``DEFAULT_MODEL``.
Folders named in the environment variable ``ANALOGON_ENCODERS`` are part of the registry too.
"""
