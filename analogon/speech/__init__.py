"""Documents and plain text, spoken: SSML read safely, compiled, and rendered through any engine that speaks."""

from analogon.speech.casting import castings, spoken_instead
from analogon.speech.compile import to_script
from analogon.speech.languages import primary
from analogon.speech.reader import from_text, parse, read
from analogon.speech.render import Speech, speak
from analogon.speech.script import Mark, Script, Segment, Silence
from analogon.speech.signal import fundamental_frequency, trim
from analogon.speech.tree import Document

__all__ = [
    "Document",
    "Mark",
    "Script",
    "Segment",
    "Silence",
    "Speech",
    "castings",
    "from_text",
    "fundamental_frequency",
    "parse",
    "primary",
    "read",
    "speak",
    "spoken_instead",
    "to_script",
    "trim",
]
