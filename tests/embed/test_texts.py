"""Texts as files: in which encodings they are read, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from embed import decode
from embed.errors import MediaError
from embed.media import Media

TEXT = "Möwen über dem Meer.\r\nRain on a tin roof 雨.\rThe end"
READ = TEXT.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(encoding: str) -> None:
    media = Media("text", data=TEXT.encode(encoding))
    assert "".join(part.text or "" for part in decode.parts(media)) == READ
    known = decode.facts(media)
    assert (known["characters"], known["lines"]) == (len(READ), 3)


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xfe\xff", "utf-16-be"), (b"\0\0\xfe\xff", "utf-32-be")])
def test_the_other_order_of_bytes(mark: bytes, encoding: str) -> None:
    (part,) = decode.parts(Media("text", data=mark + TEXT.encode(encoding)))
    assert part.text == READ


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Regen\nfällt".encode("latin-1"), "is not UTF-8 text (line 2): save it as UTF-8"),
        ("Regen fällt".encode("cp1252"), "is not UTF-8 text (line 1): save it as UTF-8"),
        ("Regen fällt".encode("utf-16-le"), "is not text: UTF-16 without its byte order mark? Save it as UTF-8"),
        ("Regen fällt".encode("utf-16-be"), "is not text: UTF-16 without its byte order mark? Save it as UTF-8"),
        ("rain".encode("utf-16")[:-1], "is not UTF-16 text (line 1): save it as UTF-8"),
        ("rain".encode("utf-32")[:-1], "is not UTF-32 text (line 1): save it as UTF-8"),
        (b"# A title\n\0\1\2\3", "is not text"),
        (b"\xff\x0a" + bytes(30), "is not text but a JPEG XL picture"),
        (b"%PDF-1.7 words", "is not text but a PDF document"),
    ],
)
def test_what_is_not_read_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(MediaError) as caught:
        list(decode.parts(Media("text", data=content)))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "start", ["BMW rows by", "GIF8 is", "8BPS", "MThd", "MP+ is", "DSD is", "TTA1", "wvpk", "ajkg"]
)
def test_words_that_begin_as_another_kind_does(start: str) -> None:
    (part,) = decode.parts(Media("text", data=f"{start} rain on a roof".encode()))
    assert part.text == f"{start} rain on a roof"


@pytest.mark.parametrize(
    "words",
    [
        "BMW engine idle",
        "free drums",
        "the wide sea",
        "a cat; moov on",
        "GIF89a, said she",
        "Rar! it roared",
        "Ogg" + "S",
    ],
)
def test_a_text_may_begin_with_the_letters_of_any_header(tmp_path: Path, words: str) -> None:
    """Headers of sound and pictures hold bytes that no text has: letters alone are a text."""
    (tmp_path / "said.txt").write_text(words, "utf-8")
    media = Media.from_path(tmp_path / "said.txt")
    assert [part.text for part in decode.parts(media)] == [words]
