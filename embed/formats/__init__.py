"""How files of each modality are read: one module a modality, each with ``parts`` and ``facts``."""
