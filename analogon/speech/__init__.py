"""Documents and plain text, spoken: SSML read safely, compiled, and rendered through any engine that speaks."""

from analogon.speech.compile import Mark, Script, Segment, Silence, to_script
from analogon.speech.reader import from_text, parse, read
from analogon.speech.render import Speech, requested_language, speak
from analogon.speech.signal import fundamental_frequency, trim
from analogon.speech.tree import Document

__all__ = [
    "Document",
    "Mark",
    "Script",
    "Segment",
    "Silence",
    "Speech",
    "from_text",
    "fundamental_frequency",
    "parse",
    "read",
    "requested_language",
    "speak",
    "to_script",
    "trim",
]
