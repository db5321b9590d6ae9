"""One file a family of generators; the folder is the registry, which ``analogon.engines.generator`` reads."""
