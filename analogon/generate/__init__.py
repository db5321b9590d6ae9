"""From prompts to takes: families of generators, judges, and the files that are left."""
