"""SSML: what is read, how it prints itself, and what is refused, where."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogon.speech.reader import DEEPEST, LARGEST, MOST_ELEMENTS, from_text, parse, read
from analogon.speech.tree import (
    LEVELS,
    STRENGTHS,
    Audio,
    Break,
    Document,
    Emphasis,
    Lang,
    Mark,
    Node,
    Paragraph,
    Phoneme,
    Prosody,
    SayAs,
    Sentence,
    Sub,
    Voice,
)
from embed.errors import MediaError, SsmlError

GOOD = (
    '<speak>Hello! <prosody rate="fast">I hope you have a good day.</prosody> <break time="500ms"/> <p><s>First, we '
    '<emphasis level="moderate">stress</emphasis> this word.</s></p> <break time="1s"/> <s>Now <prosody rate="slow">'
    "slower</prosody>.</s></speak>"
)


def parts(inner: str) -> tuple[Node, ...]:
    return parse(f"<speak>{inner}</speak>").parts


def test_the_example_is_read_whole() -> None:
    assert parse(GOOD) == Document(
        (
            "Hello! ",
            Prosody(("I hope you have a good day.",), rate="fast"),
            " ",
            Break("500ms"),
            " ",
            Paragraph((Sentence(("First, we ", Emphasis(("stress",)), " this word.")),)),
            " ",
            Break("1s"),
            " ",
            Sentence(("Now ", Prosody(("slower",), rate="slow"), ".")),
        )
    )


def test_every_element() -> None:
    assert parts('<say-as interpret-as="date" format="mdy">1/2</say-as>') == (SayAs("1/2", "date", "mdy"),)
    assert parts('<sub alias="World Wide Web">WWW</sub>') == (Sub("WWW", "World Wide Web"),)
    assert parts('<phoneme alphabet="ipa" ph="x">a</phoneme>') == (Phoneme("a", "x", "ipa"),)
    assert parts('<voice name="a b" gender="female">c</voice>') == (Voice(("c",), "a b", gender="female"),)
    assert parts('<lang xml:lang="de">Haus</lang>') == (Lang(("Haus",), "de"),)
    assert parts('<s xml:lang="de">Haus</s>') == (Sentence(("Haus",), "de"),)
    assert parts('<mark name="here"/>') == (Mark("here"),)
    assert parts('<audio src="x.wav"><desc>noise</desc>instead</audio>') == (Audio(("instead",), "x.wav"),)
    assert parts("<token>a</token> <w>b</w>") == ("a b",)
    assert parts("<meta name='a' content='b'/><metadata><x>y</x></metadata>a") == ("a",)
    assert parse('<speak xml:lang="en-GB">a</speak>').language == "en-GB"
    assert parts("<emphasis>a</emphasis>") == (Emphasis(("a",), "moderate"),)
    assert parts("a\n\t  b<!-- c --><?d e?>\n c <![CDATA[<x> & ]]>") == ("a b c <x> & ",)


def test_what_is_no_ssml_is_said_once_and_its_content_counts() -> None:
    document = parse('<speak>a <x>b</x> <y xmlns="urn:y">c<x/></y><lexicon uri="http://x/"/></speak>')
    assert document.parts == ("a b c",)
    assert document.remarks == ("the lexicon is not fetched", "not SSML, only the content is spoken: x, y")
    many = parse("<speak>" + "".join(f"<x{n}>a</x{n}>" for n in range(100)) + "</speak>")
    assert many.remarks == ("not SSML, only the content is spoken: x0, x1, x2, x3, x4 and 95 more",)


def test_the_namespace_is_ssmls_or_none() -> None:
    prefixed = '<a:speak xmlns:a="http://www.w3.org/2001/10/synthesis"><a:break/>b<c:break xmlns:c="urn:c"/></a:speak>'
    assert parse(prefixed).parts == (Break(), "b")


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ('<!DOCTYPE speak SYSTEM "x.dtd"><speak/>', 1, "a DOCTYPE is refused"),
        ('\n<!DOCTYPE speak [<!ENTITY a "b">]>\n<speak>&a;</speak>', 2, "a DOCTYPE is refused"),
        ("<speak>\n&nbsp;</speak>", 2, "an entity: only &amp;"),
        ("<speak>\n<p>a<p>b</p></p></speak>", 2, "<p> inside <p>"),
        ("<speak><s>a<p>b</p></s></speak>", 1, "<p> inside <s>"),
        ("<speak><s>a<emphasis><s>b</s></emphasis></s></speak>", 1, "<s> inside <s>"),
        ("<speak><p>a<speak>b</speak></p></speak>", 1, "<speak> inside <speak>"),
        ("<speech>a</speech>", 1, "begins with <speech>, not with <speak>"),
        ('<speak xmlns="urn:x">a</speak>', 1, "not with <speak>"),
        ("<speak>\n\n<break time='5'/></speak>", 3, "break time '5': write a time as 500ms or 2s"),
        ("<speak><break time='301s'/></speak>", 1, "300 s is the longest"),
        ("<speak><break strength='huge'/></speak>", 1, "break strength 'huge'"),
        ("<speak><break>a</break></speak>", 1, "<break> is empty, but text stands in it"),
        ("<speak><mark/></speak>", 1, "<mark> needs name"),
        ("<speak><mark name='a&#x202e;b'/></speak>", 1, "characters that can be shown"),
        ("<speak><say-as>a</say-as></speak>", 1, "<say-as> needs interpret-as"),
        ("<speak><sub>a</sub></speak>", 1, "<sub> needs alias"),
        ("<speak><phoneme>a</phoneme></speak>", 1, "<phoneme> needs ph"),
        ("<speak><lang>a</lang></speak>", 1, "<lang> needs xml:lang"),
        ("<speak><emphasis level='very'>a</emphasis></speak>", 1, "emphasis level 'very'"),
        ("<speak><prosody rate='5%'>a</prosody></speak>", 1, "from 10% to 1000%"),
        ("<speak><prosody pitch='120%'>a</prosody></speak>", 1, "write 200Hz, +20Hz"),
        ("<speak><prosody pitch='+37st'>a</prosody></speak>", 1, "36 st up or down"),
        ("<speak><prosody volume='+41dB'>a</prosody></speak>", 1, "from -120 to +40 dB"),
        ("<speak>a", 1, "not well-formed XML"),
        ("<speak>a\x1b</speak>", 1, "not well-formed XML"),
        ("<speak>\n\ud800</speak>", 2, "half of a surrogate pair"),
        ("", None, "is empty"),
        (b"\xff\xfe\x00\x00", None, "UTF-32"),
        (b'<?xml version="1.0" encoding="zip"?><speak/>', 1, "says that it is 'zip'"),
        (b"<speak>\n\xff</speak>", 2, "is not utf-8: byte 8"),
    ],
)
def test_refused_in_one_line(source: str | bytes, line: int | None, reason: str) -> None:
    with pytest.raises(SsmlError) as caught:
        parse(source, "a.ssml")
    assert reason in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"a.ssml, line {line}: " if line else "a.ssml: ")
    assert "\n" not in str(caught.value)


def test_limits_are_where_they_are_said_to_be() -> None:
    def nested(depth: int) -> str:
        return "<speak>" + "<voice>" * (depth - 1) + "a" + "</voice>" * (depth - 1) + "</speak>"

    assert str(parse(nested(DEEPEST))).count("<voice>") == DEEPEST - 1
    with pytest.raises(SsmlError, match="more than 64 elements inside"):
        parse(nested(DEEPEST + 1))
    with pytest.raises(SsmlError, match="more than 64 elements inside"):  # what is not spoken has a depth too
        parse("<speak>a" + "<metadata>" * DEEPEST + "</metadata>" * DEEPEST + "</speak>")
    assert len(parts("<break/>" * 2000)) == 2000
    assert len(parts('<mark name="a"/>' * (MOST_ELEMENTS - 1))) == MOST_ELEMENTS - 1
    with pytest.raises(SsmlError, match="more than 20000 elements"):
        parts('<mark name="a"/>' * MOST_ELEMENTS)
    assert parts('<break time="300s"/>' * 2) == (Break("300s"),) * 2
    with pytest.raises(SsmlError, match="add up to more than 600 s"):
        parts('<break time="300s"/>' * 2 + "<break/>")
    frame = len("<speak></speak>")
    assert parts("a" * (LARGEST - frame)) == ("a" * (LARGEST - frame),)
    for much in ("a" * (LARGEST - frame + 1), "é" * (LARGEST // 2)):
        with pytest.raises(SsmlError, match="more than 1048576 bytes"):
            parts(much)


@pytest.mark.parametrize(
    ("codec", "declaration"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-8-sig", '<?xml version="1.0" encoding="zip"?>'),  # the mark counts
        ("utf-16", '<?xml version="1.0" encoding="UTF-16"?>'),
        ("iso-8859-1", '<?xml version="1.0" encoding="ISO-8859-1"?>'),
        ("cp1252", "<?xml version='1.0' encoding = 'windows-1252' ?>"),
    ],
)
def test_encodings(codec: str, declaration: str) -> None:
    assert parse(f"{declaration}<speak>café</speak>".encode(codec)).parts == ("café",)


def test_plain_text_is_a_document_without_markup() -> None:
    document = from_text("\ufeffOne\ntwo.\r\n \r\n\r\n<break time='9s'/> &amp; \x1b[0m\ud800\n\n \n")
    assert document.parts == (Paragraph(("One two.",)), Paragraph(("<break time='9s'/> &amp; [0m",)))
    assert parse(str(document)) == document
    assert from_text(" \n\n ").parts == ()


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ssml"
    path.write_text(GOOD)
    assert read(path) == parse(GOOD)
    path.write_text("<speak>\n<x")
    with pytest.raises(SsmlError, match=r"a\.ssml, line 2: is not well-formed"):
        read(path)
    path.write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(SsmlError, match="1048577 bytes"):
        read(path)
    with pytest.raises(MediaError, match="no such file"):
        read(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="not a regular file"):
        read(tmp_path / "pipe")


# -- a tree prints itself ----------------------------------------------------------------------------------------------

WORDS = st.text(st.sampled_from(string.ascii_letters + "é日😀<>&\"']] .,"), min_size=1, max_size=12).map(
    lambda text: " ".join(text.split())
)
TEXTS = WORDS.filter(bool)
VALUES = st.text(st.sampled_from(string.ascii_letters + "é<>&\"' -"), max_size=8).map(
    lambda text: " ".join(text.split())
)
LEAVES = st.one_of(
    st.builds(Break, st.sampled_from([None, "500ms", "2s", ".5s"]), st.sampled_from([None, *STRENGTHS])),
    st.builds(Mark, TEXTS),
    st.builds(SayAs, WORDS, TEXTS, st.none() | VALUES),
    st.builds(Sub, WORDS, VALUES),
    st.builds(Phoneme, WORDS, VALUES, st.none() | VALUES),
)


def apart(nodes: list[Node]) -> tuple[Node, ...]:
    """No text beside text: it would be read as one."""
    return tuple(n for i, n in enumerate(nodes) if not (i and isinstance(n, str) and isinstance(nodes[i - 1], str)))


def holding(inside: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    inner = st.lists(inside | TEXTS, max_size=4).map(apart)
    optional = st.none() | VALUES
    return st.one_of(
        st.builds(Emphasis, inner, st.sampled_from(LEVELS)),
        st.builds(
            Prosody,
            inner,
            st.sampled_from([None, "fast", "+10%", "80%"]),
            st.sampled_from([None, "200Hz", "+2st", "high"]),
            st.sampled_from([None, "+6dB", "50", "silent"]),
            range=optional,
        ),
        st.builds(Voice, inner, optional, st.none() | TEXTS, optional),
        st.builds(Lang, inner, VALUES),
        st.builds(Audio, inner, optional),
    )


INLINE = st.recursive(LEAVES, holding, max_leaves=12)
INNER = st.lists(INLINE | TEXTS, max_size=4).map(apart)
SENTENCES = st.builds(Sentence, INNER, st.none() | VALUES)
PARAGRAPHS = st.builds(Paragraph, st.lists(SENTENCES | INLINE | TEXTS, max_size=4).map(apart), st.none() | VALUES)
DOCUMENTS = st.builds(
    Document, st.lists(PARAGRAPHS | SENTENCES | INLINE | TEXTS, max_size=5).map(apart), st.none() | VALUES
)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_a_document_prints_itself(document: Document) -> None:
    assert parse(str(document)) == document


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_prints_itself(text: str) -> None:
    document = from_text(text)
    assert parse(str(document)) == document
