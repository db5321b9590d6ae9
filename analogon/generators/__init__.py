"""One file a family of generators; the folder is the registry, which ``analogon.generator`` reads."""
