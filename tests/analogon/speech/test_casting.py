"""What an engine is asked for, of a voice and a language, and in which order."""

from __future__ import annotations

from analogon.engines.generator import Settings
from analogon.speech.casting import castings
from analogon.speech.compile import to_script
from analogon.speech.reader import parse


def test_what_an_engine_is_asked_for_in_order() -> None:
    def asked(document: str, **settings: str) -> list[tuple[object, str | None]]:
        (segment,) = to_script(parse(document), Settings(**settings)).segments  # type: ignore[arg-type]
        return [(one.voice, one.language) for one in castings(segment, Settings(**settings))]  # type: ignore[arg-type]

    name = "Google UK English Female"
    assert asked(f'<speak xml:lang="de"><voice name="{name}">a</voice></speak>') == [
        (name, None),
        (None, "en-GB"),
        (None, "de"),
        (None, None),
    ]
    assert asked('<speak xml:lang="de"><voice name="anna bert">a</voice></speak>', language="fr") == [
        ("anna", None),
        ("bert", None),
        (None, "de"),
        (None, "fr"),
    ]
    assert asked('<speak xml:lang="de"><voice name="es-ES-X"><s xml:lang="fr">a</s></voice></speak>') == [
        ("es-ES-X", "fr"),
        (None, "fr"),
        (None, None),
    ]
    assert asked('<speak xml:lang="de">a</speak>', voice="anna") == [("anna", None)]
    assert asked('<speak xml:lang="de">a</speak>') == [(None, "de"), (None, None)]
