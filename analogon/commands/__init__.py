"""The commands of ``analogon``: one module a group; each parses, calls and shows."""
