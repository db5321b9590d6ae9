"""Which words a file's name says, which of a question's words count; by hand."""

from __future__ import annotations

import pytest

from indexes.words import Words, content_words, split, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kick_808_dark", "kick 808 dark"),
        ("IMG_beach_sunset", "beach sunset"),
        ("IMG_1984_BeachSunset (2)", "Beach Sunset"),
        ("BeachSunset1984", "Beach Sunset 1984"),
        ("TVRoomNoise", "TV Room Noise"),
        ("rain-on.tin,roof", "rain on tin roof"),
        ("rain_003", "rain"),
        ("rain take 3", "rain"),
        ("rain_take-808", "rain"),
        ("take five", "take five"),
        ("elec_blip2", "elec blip"),
        ("loop_120bpm", "loop 120 bpm"),
        ("loop_3d_printer", "loop 3d printer"),
        ("01 - Über den Wolken", "Über den Wolken"),
        ("U\u0308ber", "Über"),  # decomposed
        ("don't stop", "don't stop"),
        ("犬の声", "犬の声"),
        ("20240703", ""),
        ("0007", ""),
        ("DSC_0042", ""),
        ("___", ""),
        ("", ""),
        ('"crow" AND NEAR(* OR ^dog', "crow AND NEAR OR dog"),
        ("half \ud800 pair", "half pair"),
        ("a" * 300, "a" * 300),
    ],
)
def test_names_are_taken_apart(name: str, words: str) -> None:
    assert split(name) == words.split()


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("the sound of a KickDrum in the rain", "kick drum rain"),
        ("a photo of the beach", "beach"),
        ("sound", "sound"),
        ("The Who", "the who"),
        ("rain rain Rain", "rain"),
        ("kick 808", "kick 808"),
        ("?!", ""),
    ],
)
def test_the_words_of_a_question_that_count(question: str, words: str) -> None:
    assert content_words(question) == words.split()


def test_a_source_is_called_by_its_name_its_two_folders_and_its_captions() -> None:
    path = "/My Sounds/FieldRecordings/2024/crow_call_02.v1.wav"
    metadata = {
        "caption": "A crow\ncalls.",
        "again": "A crow calls.",
        "pitch": 440,
        "size": "0042",
        "sound": "crow_call.ogg",
        "page": "https://example.org/crow",
        "artist": "Anna",
    }
    assert words_of(path, None, metadata) == Words("crow call", "Field Recordings 2024", ("A crow calls.", "Anna"))
    assert words_of("/a/table.csv", 3, {"mood": "calm", "n": 1}) == Words("", "", ("calm",))
    assert words_of("/x.wav", None, {}) == Words("x", "", ())
