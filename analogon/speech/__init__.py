"""SSML: read, compiled into segments, rendered by an engine that knows none of it."""
