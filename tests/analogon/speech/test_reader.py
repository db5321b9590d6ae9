"""SSML: what is read, how it prints itself, and what is refused, where."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

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


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("one<pause/>two", "one two"),  # an element of no content parts words as well
        ("<x>one</x><x>two</x>", "one two"),
        ("<token>one</token><w>two</w>", "one two"),
        ("<media><speak>one</speak></media><media><speak>two.</speak></media>three", "one two.three"),
        ("<s>one<p>two</p></s>", "one two"),
        ("one<metadata>x</metadata>two", "one two"),
        ("a<x>.</x>", "a."),
        ("<x>one</x>, <x>two</x>.", "one, two."),
        ("un<b>believ</b>able", "unbelievable"),
        ("1<lookup ref='x'>2</lookup>", "12"),
    ],
)
def test_elements_that_are_read_through_part_words(source: str, said: str) -> None:
    (part,) = parse(f"<speak>{source}</speak>").parts
    assert (part.parts if isinstance(part, Sentence) else (part,)) == (said,)


def test_attributes_that_are_not_ssmls_are_told_once() -> None:
    source = """<speak version="1.1" onlangfailure="x"><prosody rate="slow" amazon:max-duration="2s">a</prosody>
        <prosody amazon:max-duration="3s">a</prosody><voice effect="eq_car" name="b" xml:id="c">a</voice>
        <say-as interpret-as="cardinal" xml:lang="es">1</say-as><p lang="de" class="d">e</p></speak>"""
    assert parse(source).remarks == (
        "p lang is read as xml:lang",
        "attributes that are not SSML's there, and not done: prosody amazon:max-duration, voice effect, "
        "say-as xml:lang",
    )
    assert parse("<speak><say-as interpret-as=' date ' format=' mdy '>1/2</say-as></speak>").remarks == ()


def test_the_namespace_is_ssmls_or_none() -> None:
    prefixed = '<a:speak xmlns:a="http://www.w3.org/2001/10/synthesis"><a:break/>b<c:break xmlns:c="urn:c"/></a:speak>'
    assert parse(prefixed).parts == (Break(), "b")


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ('<!DOCTYPE speak SYSTEM "x.dtd"><speak/>', 1, "a DOCTYPE is refused"),
        ('\n<!DOCTYPE speak [<!ENTITY a "b">]>\n<speak>&a;</speak>', 2, "a DOCTYPE is refused"),
        ("<speech>a</speech>", 1, "begins with <speech>, not with <speak>"),
        ('<speak xmlns="urn:x">a</speak>', 1, "not with <speak>"),
        (
            '<speak xmlns="urn:x">a</speak>',
            1,
            "begins with <speak> of the namespace 'urn:x', not with <speak> of http://",
        ),
        ("<x:speak>a</x:speak>", 1, "begins with <x:speak>, not with <speak>"),
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


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("<speak>\n&nbsp;</speak>", 2, "an entity: only &amp;"),
        ("<speak>\n<p>a<p>b</p></p></speak>", 2, "<p> inside <p>"),
        ("<speak><s>a<p>b</p></s></speak>", 1, "<p> inside <s>"),
        ("<speak><s>a<emphasis><s>b</s></emphasis></s></speak>", 1, "<s> inside <s>"),
        ("<speak><p>a<speak>b</speak></p></speak>", 1, "<speak> inside <speak>"),
        ("<speak>\n\n<break time='5'/></speak>", 3, "break time '5': write a time as 500ms or 2s"),
        ("<speak><amazon:breath/>a</speak>", 1, "the prefix amazon: is not declared"),
        ('<speak xmlns="https://www.w3.org/2001/10/synthesis">a</speak>', 1, "not with <speak>"),
        ("<SPEAK>a</SPEAK>", 1, "begins with <SPEAK>"),
        ("<speak><prosody rate='0%'>a</prosody></speak>", 1, "from 10% to 1000%"),
        ("<speak><prosody pitch='0%'>a</prosody></speak>", 1, "write 200Hz"),
        ("<speak>a<break time='500 ms'/></speak>", 1, "break time '500 ms'"),
        ("<speak><emphasis level='Strong'>a</emphasis></speak>", 1, "emphasis level 'Strong'"),
        ("<speak><say-as type='date'>a</say-as></speak>", 1, "<say-as> needs interpret-as"),
        ("<speak>\nJack & Jones</speak>", 2, "at column 7: not well-formed (invalid token); a bare & is written &amp;"),
        ("< speak>a</speak>", 1, "at column 2: not well-formed (invalid token); no blank stands after <"),
        ("<speak>1 <2</speak>", 1, "at column 11: not well-formed (invalid token); a < of the text is written &lt;"),
        ("<speak>a<break time=“1s”/></speak>", 1, "; values of attributes stand in straight quotes"),
        ("\n<?xml version='1.0'?><speak>a</speak>", 2, "not at start of"),
    ],
)
def test_strictly_what_is_no_ssml_is_refused_and_otherwise_read(source: str, line: int, reason: str) -> None:
    with pytest.raises(SsmlError) as caught:
        parse(source, "a.ssml", strict=True)
    assert reason in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"a.ssml, line {line}: ")
    assert "\n" not in str(caught.value)
    parse(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<speak>\n<p>a", "line 2: is not well-formed XML at column 5: <p> of line 2 is never closed"),
        ("<speak>\n<p>a</s></speak>", "line 2: is not well-formed XML at column 7: another element is closed than <p>"),
        ("<speak>a</speak>b", "column 17: more stands behind the end of the document's element"),
        ("<speak>a &foo; & b</speak>", "column 10: an entity: only &amp;"),
        ("<speak>a <break time='1s' time='2s'/></speak>", "column 27: duplicate attribute"),
    ],
)
def test_what_cannot_be_mended_says_where_and_what(source: str, reason: str) -> None:
    with pytest.raises(SsmlError) as caught:
        parse(source)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("source", "like", "remarks"),
    [
        # slips of XML
        ("<speak>Jack & Jill, R&D</speak>", "<speak>Jack &amp; Jill, R&amp;D</speak>", ["a bare & is read as"]),
        ("<speak>1 < 2 <3 a<b</speak>", "<speak>1 &lt; 2 &lt;3 a&lt;b</speak>", ["a < that begins no element"]),
        (
            "< speak>a< break time='1s' / ></ speak>",
            "<speak>a<break time='1s'/></speak>",
            ["a blank after < is passed over"],
        ),
        ("<speak>a&nbsp;&eacute;&hellip;</speak>", "<speak>a\u00a0é…</speak>", ["entities of HTML"]),
        (
            "<speak>&amp;&lt;&#65;&nbsp;<![CDATA[&]]></speak>",
            "<speak>&amp;&lt;A\u00a0&amp;</speak>",
            ["entities of HTML"],
        ),
        (
            "<speak><prosody rate=“fast” volume=’loud’>a</prosody></speak>",
            "<speak><prosody rate='fast' volume='loud'>a</prosody></speak>",
            ["values of attributes stand in straight quotes"],
        ),
        ("<speak>a<break time=500ms/>b</speak>", "<speak>a<break time='500ms'/>b</speak>", ["values of attributes"]),
        (
            "<speak>a<break time='1s'>b<break time='2s'></break></speak>",
            "<speak>a<break time='1s'/>b<break time='2s'/></speak>",
            ["a <break> that is not closed"],
        ),
        ("\n <?xml version='1.0'?><speak>a</speak>", "<speak>a</speak>", ["what stands before the XML declaration"]),
        ("```xml\n<speak>a</speak>\n```\n", "<speak>a</speak>", ["the fence of ```"]),
        ("<SPEAK>a<Break Time='1s'/></SPEAK>", "<speak>a<break time='1s'/></speak>", ["names of elements"]),
        # vendors
        (
            '<speak><amazon:effect name="whispered">a</amazon:effect> b</speak>',
            "<speak>a b</speak>",
            ["not SSML, only the content is spoken: amazon:effect"],
        ),
        (
            '<speak xmlns="https://www.w3.org/2001/10/synthesis" xmlns:mstts="https://www.w3.org/2001/mstts">'
            '<mstts:express-as style="sad">a</mstts:express-as></speak>',
            "<speak>a</speak>",
            ["not SSML, only the content is spoken: mstts:express-as"],
        ),
        (
            "<speak><google:style name='x'>a</google:style><x:y:z/></speak>",
            "<speak>a</speak>",
            ["not SSML, only the content is spoken: google:style, x:y:z"],
        ),
        (
            "<speak><prosody rate='0%' pitch='+0%'>a</prosody></speak>",
            "<speak><prosody>a</prosody></speak>",
            ["prosody rate '0%' is read as no change", "prosody pitch '+0%' is read as no change"],
        ),
        (
            "<speak><voice name='de-DE-KatjaNeural'><prosody rate='20.00%' pitch='10%'>a</prosody></voice></speak>",
            "<speak><voice name='de-DE-KatjaNeural'><prosody rate='+20.00%' pitch='+10%'>a</prosody></voice></speak>",
            ["prosody rate '20.00%' is read as '+20.00%'", "prosody pitch '10%' is read as '+10%'"],
        ),
        ("<speak><prosody rate='20.00%'>a</prosody></speak>", "<speak><prosody rate='20.00%'>a</prosody></speak>", []),
        (
            "<speak><prosody rate='X-Fast' volume='+ 6 dB' pitch='2st'>a</prosody></speak>",
            "<speak><prosody rate='x-fast' volume='+6dB' pitch='+2st'>a</prosody></speak>",
            ["prosody rate 'X-Fast' is", "prosody volume '+ 6 dB' is", "prosody pitch '2st' is"],
        ),
        (
            "<speak>a<break time='500 ms'/><break time='3'/><break time='1500'/><break time='2 Seconds'/></speak>",
            "<speak>a<break time='500ms'/><break time='3s'/><break time='1500ms'/><break time='2s'/></speak>",
            ["break time '500 ms' is read as '500ms'", "break time '3' is", "break time '1500' is", "break time '2 S"],
        ),
        (
            "<speak><say-as type='date'>1</say-as></speak>",
            "<speak><say-as interpret-as='date'>1</say-as></speak>",
            ["say"],
        ),
        ("<speak><voice language='fr'>a</voice></speak>", "<speak><voice languages='fr'>a</voice></speak>", ["voice"]),
        ("<speak lang='fr'>a</speak>", "<speak xml:lang='fr'>a</speak>", ["speak lang is read as xml:lang"]),
        # inside each other
        ("<speak>a <speak>b</speak></speak>", "<speak>a b</speak>", ["<speak> inside <speak>"]),
        (
            "<speak>a <speak xml:lang='de'>b</speak></speak>",
            "<speak>a <lang xml:lang='de'>b</lang></speak>",
            ["<speak> inside <speak>"],
        ),
        (
            "<speak><p>a<p>b</p></p></speak>",
            "<speak><p>a<s>b</s></p></speak>",
            ["<p> inside <p> is read as part of it"],
        ),
        ("<speak><s>a <p>b</p></s></speak>", "<speak><s>a b</s></speak>", ["<p> inside <s>"]),
    ],
)
def test_what_is_plainly_meant_is_read_and_told(source: str, like: str, remarks: list[str]) -> None:
    document = parse(source)
    assert document == parse(like, strict=True)
    assert len(document.remarks) == len(remarks)
    for line, start in zip(document.remarks, remarks, strict=True):
        assert line.startswith(start)


def test_many_values_are_told_in_few_lines() -> None:
    document = parse("<speak>" + "".join(f"a<break time='{n} ms'/>" for n in range(100, 200)) + "</speak>")
    assert len(document.remarks) == 7
    assert document.remarks[-1] == "94 more values are read as they are meant"


def test_what_is_not_plainly_meant_stays_refused() -> None:
    for inner in ("<break time='50'/>", "<break time='1 m'/>", "<prosody pitch='120%'>a</prosody>", "<break>a</break>"):
        with pytest.raises(SsmlError):
            parts(inner)
    for source in (
        "a & b",
        "<x>a & b</x>",
        "< x>a</ x>",
        "<speak>&foo;</speak>",
        "<speak>a & b",
        "<speak><a b c></speak>",
    ):
        with pytest.raises(SsmlError):
            parse(source)


SLIDE = """< speak>
¡Hola! < prosody rate="fast">Espero que estés bien.</ prosody> < break time="500ms"/>
< p>< s>Primero,</ s> vamos a < emphasis level="moderate">ver</ emphasis> esto.</ p>
</ speak>
"""


def test_a_document_as_it_stood_on_a_slide() -> None:
    document = parse(SLIDE)
    assert document == parse(SLIDE.replace("< ", "<").replace("</ ", "</"), strict=True)
    assert document.remarks == ("a blank after < is passed over",)


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
    for strict in (False, True):
        again = parse(str(document), strict=strict)
        assert again == document and again.remarks == ()


SIGNS = st.lists(st.sampled_from([*"a1 ;>&“'\"", "& ", "< ", "<1", "<=", "&&"]), max_size=30)


@settings(max_examples=300, deadline=None)
@given(SIGNS)
def test_bare_signs_are_text(signs: list[str]) -> None:
    """As ElementTree reads the document in which each sign is written as XML wants it."""
    text = re.sub(r"&(?=\w+;)", "& ", "x" + "".join(signs).replace("< a", "< 1") + "x")
    expected = ElementTree.fromstring(f"<speak>{escape(text)}</speak>").text
    assert expected is not None
    assert parse(f"<speak>{text}</speak>").parts == (re.sub(" +", " ", expected),)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_prints_itself(text: str) -> None:
    document = from_text(text)
    assert parse(str(document)) == document
