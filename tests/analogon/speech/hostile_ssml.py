"""Hostile and odd SSML, the same every time, and a run over it that records what the process touches."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GOOD = (
    '<speak>Hello! <prosody rate="fast">I hope you have a good day.</prosody> <break time="500ms"/> <p><s>First, we '
    '<emphasis level="moderate">stress</emphasis> this word.</s></p> <break time="1s"/> <s>Now <prosody rate="slow">'
    "slower</prosody>.</s></speak>"
)
ELEMENTS = (
    *("speak", "p", "s", "break", "emphasis", "prosody", "say-as", "sub", "phoneme", "voice", "lang", "mark", "audio"),
    *("desc", "meta", "metadata", "lexicon", "lookup", "token", "w"),
)


VENDORS = (
    '<speak version="1.0" xmlns="https://www.w3.org/2001/10/synthesis" xmlns:mstts="https://www.w3.org/2001/mstts" '
    'xml:lang="es-ES"><voice name="es-ES-ElviraNeural"><mstts:express-as style="sad"><prosody rate="20.00%" '
    'pitch="0%">Buenos d\u00edas</prosody></mstts:express-as><break time="500 ms"/></voice></speak>',
    '<speak><amazon:effect name="whispered">R&D &nbsp; news</amazon:effect> <say-as interpret-as="date" '
    'format="mdy">1/2/03</say-as> <voice name="Joanna">a < b</voice><break time=\u201c1s\u201d></speak>',
    '< speak>\u00a1Hola! < prosody rate="fast">amigo</ prosody> < break time="3"/>< p>< s>uno</ s></ p></ speak>',
)
"""As vendors document it and people paste it: what is read all the same."""


def words(text: str) -> list[str]:
    return text.split()


def documents(canary: Path, port: int, mutants: int = 220) -> list[str | bytes]:
    """All of them. ``canary`` is a file and ``port`` a listening one on the loopback, which nothing may touch.

    ``mutants`` is how many documents are made of good ones by chance, always the same.
    """
    targets = [
        f"file://{canary}",
        str(canary),
        f"http://127.0.0.1:{port}/x",
        f"ftp://127.0.0.1:{port}/x",
        f"//127.0.0.1:{port}/x",
        "../../../../../../etc/passwd",
        f"jar:file://{canary}!/x",
        "data:audio/wav;base64,UklGRg==",
        "\\\\127.0.0.1\\share\\x",
        "|id",
        "-w /tmp/hostile",
        "%00",
        "",
    ]
    found: list[str | bytes] = []
    for family in (entities, references, encodings, shapes, quantities, texts, slips):
        found += family(targets)
    found += mutations(mutants)
    return list(dict.fromkeys(found))


def entities(targets: list[str]) -> Iterator[str]:
    speak = "<speak>a &x; b</speak>"
    for target in targets:
        quoted = target.replace('"', "&quot;")
        yield f'<!DOCTYPE speak [<!ENTITY x SYSTEM "{quoted}">]>{speak}'
        yield f'<!DOCTYPE speak [<!ENTITY x PUBLIC "-//x//y" "{quoted}">]>{speak}'
        yield f'<!DOCTYPE speak SYSTEM "{quoted}">{speak}'
        yield f'<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "{quoted}"><speak>a</speak>'
        yield f'<!DOCTYPE speak [<!ENTITY % x SYSTEM "{quoted}"> %x;]><speak>a</speak>'
        yield f'<!DOCTYPE speak [<!NOTATION n SYSTEM "{quoted}"><!ENTITY x SYSTEM "{quoted}" NDATA n>]>{speak}'
    for levels in (2, 5, 10, 30):
        bomb = '<!ENTITY e0 "lol">' + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
        yield f"<!DOCTYPE speak [{bomb}]><speak>&e{levels - 1};</speak>"
        bomb = '<!ENTITY % p0 "lol">' + "".join(f"<!ENTITY % p{n} '%p{n - 1};%p{n - 1};'>" for n in range(1, levels))
        yield f"<!DOCTYPE speak [{bomb}]><speak>a</speak>"
    yield f'<!DOCTYPE speak [<!ENTITY x "{"a" * 50_000}">]><speak>{"&x;" * 5_000}</speak>'
    yield '<!DOCTYPE speak [<!ENTITY x "&y;"><!ENTITY y "&x;">]><speak>&x;</speak>'
    yield '<!DOCTYPE speak [<!ATTLIST speak a CDATA "b">]><speak/>'
    yield "<!DOCTYPE speak [<!ELEMENT speak ANY>]><speak>a</speak>"
    yield from ("<!DOCTYPE speak><speak>a</speak>", "<!DOCTYPE html><html/>", "<!doctype speak><speak>a</speak>")
    yield from ("<!DOCTYPE", "<!DOCTYPE speak [", "<!DOCTYPE speak [<!ENTITY", "<!ENTITY x 'y'><speak/>")
    for name in (
        "nbsp",
        "x",
        "copy",
        "#0",
        "#x0",
        "#27",
        "#xD800",
        "#x110000",
        "#xFFFE",
        "#99999999999",
        "#-1",
        "#x",
        "",
    ):
        yield f"<speak>a &{name}; b</speak>"
        yield f'<speak><mark name="&{name};"/>a</speak>'
    yield "<speak>" + "&amp;" * 100_000 + "</speak>"


def references(targets: list[str]) -> Iterator[str]:
    """What names a file or an address without an entity."""
    for target in targets:
        quoted = target.replace("&", "&amp;").replace('"', "&quot;")
        yield f'<speak>a <audio src="{quoted}"/> b</speak>'
        yield f'<speak>a <audio src="{quoted}"><desc>x</desc>instead</audio> b</speak>'
        yield f'<speak><lexicon uri="{quoted}" xml:id="l"/><lookup ref="l">a</lookup></speak>'
        yield f'<speak><meta http-equiv="refresh" content="0;url={quoted}"/>a</speak>'
        yield f'<speak xml:base="{quoted}">a <audio src="x.wav">b</audio></speak>'
        yield f'<?xml-stylesheet type="text/xsl" href="{quoted}"?><speak>a</speak>'
        yield f'<speak xmlns:xi="http://www.w3.org/2001/XInclude">a<xi:include href="{quoted}" parse="text"/></speak>'
        yield (
            '<speak xmlns="http://www.w3.org/2001/10/synthesis" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xsi:schemaLocation="http://www.w3.org/2001/10/synthesis {quoted}">a</speak>'
        )
        yield f'<speak>a <voice name="{quoted}">b</voice></speak>'
        yield f'<speak xml:lang="{quoted}">a <lang xml:lang="{quoted}">b</lang></speak>'
        yield f'<speak>a <x:script xmlns:x="{quoted}" src="{quoted}">b</x:script></speak>'
        yield f'<speak>a <say-as interpret-as="{quoted}" format="{quoted}">b</say-as></speak>'
        yield f'<speak>a <sub alias="{quoted}">b</sub> <phoneme alphabet="{quoted}" ph="{quoted}">c</phoneme></speak>'


def encodings(_: list[str]) -> Iterator[bytes]:
    text = "<speak>caf\u00e9 \u65e5\u672c \U0001f600</speak>"
    bomb = '<!DOCTYPE speak [<!ENTITY x "y">]><speak>&x;</speak>'
    for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7"):
        yield text.encode(codec)
        yield bomb.encode(codec)
        for said in ("utf-8", "utf-16", "utf-7", "UTF-32", "latin1"):
            yield f'<?xml version="1.0" encoding="{said}"?>{text}'.encode(codec)
            yield f'<?xml version="1.0" encoding="{said}"?>{bomb}'.encode(codec)
    for said in words(
        "zip hex base64 rot13 bz2 idna punycode unicode_escape raw_unicode_escape mbcs shift_jis gb18030 x"
    ):
        yield f'<?xml version="1.0" encoding="{said}"?><speak>a+ADw-</speak>'.encode()
    for said in ("../../x", "a" * 500, "cp037", "ISO-8859-1", "us-ascii", "windows-1252", "_", "utf 8", ""):
        yield f'<?xml version="1.0" encoding="{said}"?><speak>caf\u00e9</speak>'.encode("latin-1")
    yield b"\xff\xfe"
    yield b"\xff\xfe<"
    yield b"\xfe\xff\x00"
    yield b"<speak>\xed\xa0\x80</speak>"
    yield b"<speak>\xc0\xbcbreak/\xc0\xbe</speak>"
    yield b"<speak>\xf8\x88\x80\x80\x80</speak>"
    yield b"<speak>\xff</speak>"
    yield bytes(range(256))
    yield b"\x00" * 1000


def shapes(_: list[str]) -> Iterator[str | bytes]:
    """What is deep, wide, torn or in the wrong place."""
    for depth in (63, 64, 65, 1000, 100_000):
        for tag in ("emphasis", "voice", "x", "metadata"):
            yield "<speak>" + f"<{tag}>" * depth + "a" + f"</{tag}>" * depth + "</speak>"
    yield "<speak>" + "<emphasis>" * 100_000
    yield "<speak>" * 1000 + "</speak>" * 1000
    yield "<speak>" + "<mark name='a'/>" * 19_998 + "a</speak>"
    yield "<speak>" + "<mark name='a'/>" * 20_001 + "a</speak>"
    yield "<speak>" + "".join(f"<x{n}>a</x{n}>" for n in range(15_000)) + "</speak>"
    yield "<speak>" + "a <emphasis>b</emphasis> " * 5_000 + "</speak>"
    yield "<speak " + " ".join(f'a{n}="x"' for n in range(50_000)) + ">a</speak>"
    yield f'<speak a="{"x" * 10_000_000}">a</speak>'
    yield f'<speak><mark name="{"x" * 900_000}"/>a</speak>'
    yield f"<{'s' * 500_000}/>"
    yield b"<speak>" + b"a" * 10_000_000
    yield "<!--" + "-" * 500_000 + "--><speak/>"
    yield "<speak>" + "<![CDATA[<break time='9s'/>]]>" * 1000 + "</speak>"
    for torn in (1, 5, 7, 20, 60, 100, 150, 200, 250, len(GOOD) - 1):
        yield GOOD[:torn]
        yield GOOD[torn:]
    for first in ELEMENTS:
        yield f"<speak><{first}>a"
        yield f"<{first}>a</{first}>"
        yield f"<speak><{first}/></speak>"
        yield f"<speak><{first}>a<break/></{first}></speak>"
        yield f"<speak><p><s>a<{first}>b</{first}></s></p></speak>"
    yield from ("", " ", "\n", "\ufeff", "x", "<", ">", "&", "<>", "</speak>", "<speak", "<speak/>", "<speak></speak>")
    yield from ("<speak/><speak/>", "<speak>a</speak>b", "b<speak>a</speak>", "<speak>a</SPEAK>", "<SPEAK>a</SPEAK>")
    yield from (
        "<speak>]]></speak>",
        "<speak><!-- a -- b --></speak>",
        "<speak><!-></speak>",
        "<speak><![CDATA[</speak>",
    )
    yield from ("<speak><?xml version='1.0'?>a</speak>", "<speak><?x y?>a</speak>", "<?x?><speak>a</speak><?y?>")
    yield from ("<speak a='1' a='2'/>", "<speak a=1/>", "<speak a/>", "<speak x:a='1'/>", "<x:speak>a</x:speak>")
    yield '<speak xmlns="urn:other">a</speak>'
    yield '<x:speak xmlns:x="http://www.w3.org/2001/10/synthesis"><x:break time="1s"/>a</x:speak>'
    yield '<speak xmlns:xml="urn:x">a</speak>'
    yield '<speak xmlns:a=""><a:b/></speak>'


def quantities(_: list[str]) -> Iterator[str]:
    numbers = words(
        "1e308s 1e999s NaN nan inf -inf -5s 5 5m 5h +s 0x10s 1_000s ms s 300.001s 99999999999999999s 1e-9s ½s"
    )
    for number in [*numbers, "\u0665s", "9" * 100_000 + "s", "0." + "0" * 100_000 + "1s", " 1s ", "1 s", "1s;2s", "0s"]:
        yield f'<speak>a<break time="{number}"/>b</speak>'
    for strength in ("", "huge", "NONE", "strong weak", "\u2028"):
        yield f'<speak>a<break strength="{strength}"/>b</speak>'
    yield "<speak>a" + '<break time="299s"/>' * 3 + "b</speak>"
    yield "<speak>a" + '<break time="1s"/>' * 700 + "b</speak>"
    for value in words(
        "1e9% 1000% 10% 0% -100% -1000% +1e5% 0 1e400% NaN% inf x-x-fast fast; 5% 9.99 10.1 -5 ++5% 5%%"
    ):
        yield f'<speak>a <prosody rate="{value}">b</prosody></speak>'
    for value in words(
        "-inf inf NaN 0Hz -5Hz 1e9Hz 2000Hz 20Hz +2000Hz -2000Hz -100% +1e300% +37st -36st st Hz % +12ST 1e2Hz"
    ):
        yield f'<speak>a <prosody pitch="{value}">b</prosody></speak>'
    for value in words(
        "1e6dB +1000000dB -1000000dB +40dB -120dB NaNdB dB 101 100 -1 1e3 silent silently -100% +1e9% 0"
    ):
        yield f'<speak>a <prosody volume="{value}">b</prosody></speak>'
    for attribute in (
        'rate="+100%"',
        'rate="-50%"',
        'pitch="+12st"',
        'pitch="+2000Hz"',
        'volume="+40dB"',
        'volume="-60dB"',
    ):
        yield "<speak>" + f"<prosody {attribute}>" * 60 + "a" + "</prosody>" * 60 + "</speak>"
    for name in ("range", "contour", "duration"):
        yield f'<speak>a <prosody {name}="(0%,+20Hz)(10%,1e99Hz)">b</prosody></speak>'
    for kind in ("cardinal", "ordinal", "digits", "telephone", "date", "time", "characters", "x" * 10_000):
        for text in ("9" * 5000, "99/99/9999", "\u0661\u0662", "-", "24:60:61"):
            yield f'<speak><say-as interpret-as="{kind}" format="{"ymd" * 3}">{text}</say-as></speak>'


def texts(targets: list[str]) -> Iterator[str | bytes]:
    awkward = [
        *("[[h@l'oU]]", "[[", "]]", "[[[[x]]]]", "-w /tmp/hostile", "--path=/tmp", "-f /etc/passwd", "--stdin", "|x"),
        *(
            "\u202eabc",
            "\u200b" * 1000,
            "\u200d",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
            "\ufeff",
            "\ufffd",
        ),
        *(
            "\u0300" * 2000,
            "\u0600\u06dd",
            "\U000e0041" * 100,
            "\ue000",
            "...",
            "!?!?",
            "'\"",
            "()",
            "%s%n%x",
            "$(id)",
            "`id`",
        ),
        *("a" * 200_000, "a " * 2_000, "1" * 5_000, "\u7684" * 2_000, "<![CDATA[<audio src='x'/>]]>", "&#x85;&#x2028;"),
        *("&#27;[31m", "&#1;", "&#x9b;31m", "&#8;&#7;", "\u009b31m", "\u0085", "\u2029", "\u00ad" * 500, "\u3000"),
    ]
    for text in [*awkward, *targets]:
        escaped = text if "<" in text or "&#" in text else text.replace("&", "&amp;")
        yield f"<speak>{escaped}</speak>"
        attribute = escaped.replace('"', "&quot;").replace("<", "&lt;")
        yield f'<speak>a <mark name="{attribute}"/> b</speak>'
        yield f'<speak>a <sub alias="{attribute}">c</sub> <emphasis level="{attribute}">b</emphasis></speak>'
    for code in (*range(0, 32), 127, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF):
        yield f"<speak>a{chr(code)}b</speak>"


def slips(targets: list[str]) -> Iterator[str]:
    """What is mended, and what looks like it: nothing that comes of it may be more than text."""
    yield from VENDORS
    for depth in (1, 60, 64, 5000):
        yield "< speak>" + "< emphasis>" * depth + "a" + "</ emphasis>" * depth + "</ speak>"
    yield "<speak>" + "& " * 100_000 + "</speak>"
    yield "<speak>" + "< " * 100_000 + "</speak>"
    yield "<speak>" + "&nbsp;" * 100_000 + "</speak>"
    yield "<speak>& " + "<!--" * 100_000 + "</speak>"
    yield "<speak>& " + "<![CDATA[" * 50_000 + "</speak>"
    yield "<speak>& " + "<?x " * 100_000 + "</speak>"
    yield "<speak>a" + "<break time='1ms'>" * 500 + "b</speak>"
    yield "<speak>& <break " + "a=\u201cx\u201d " * 50_000 + "/></speak>"
    yield "<speak>& <break " + "a='" * 100_000 + "/></speak>"
    yield "<speak><" + "a:" * 50_000 + "b/>c</speak>"
    yield "<speak>" + "<a:b c:d='e'>" * 60 + "f" + "</a:b>" * 60 + "</speak>"
    yield "```" * 100_000
    yield "```xml\n<speak>a</speak>\n```"
    for target in targets:
        yield f'< !DOCTYPE speak SYSTEM "{target}"><speak>& a</speak>'
        yield f'<speak>& &lt;!ENTITY x SYSTEM "{target}"> &x;</speak>'
        yield f'\n<?xml version="1.0"?><!DOCTYPE speak [<!ENTITY x SYSTEM "{target}">]><speak>&x; & a</speak>'
        yield f'```xml\n<!DOCTYPE speak [<!ENTITY nbsp SYSTEM "{target}">]>\n<speak>&nbsp; & a</speak>\n```'
        yield f"<speak>a & b <audio src=\u201c{target}\u201d/> <xi:include href={target or chr(34) * 2}/></speak>"
    for name in ("lt", "LT", "amp", "AMP", "quot", "NewLine", "Tab", "zwj", "shy", "bne", "nvlt", "NotEqualTilde"):
        yield f"<speak>a & &{name}; b</speak>"
        yield f'<speak>a & <mark name="&{name};"/> b</speak>'
    for value in words("3 0 10 11 99 100 1e3 -3 3.5.5 s 5sec 1hour ０ ٣ 3\u00a0s 300000 300001 99999999"):
        yield f'<speak>a<break time="{value}"/>b</speak>'
    for name in ("rate", "pitch", "volume"):
        for value in words("0% +0% -0% 20.00% 0 +0 -0 2st 0st 120% -100% 1e2% 0dB 0Hz X-HIGH default% +"):
            yield f'<speak>a <prosody {name}="{value}">b</prosody></speak>'
            yield f'<speak>a <voice name="xNeural"><prosody {name}=" {value} ">b</prosody></voice></speak>'
    for outer in ("speak", "p", "s"):
        for inner in ("speak", "p", "s", "P", "Speak"):
            yield f"<speak><{outer}>a<{inner} xml:lang='de'>b<{outer}>c</{outer}></{inner}></{outer}></speak>"


def mutations(count: int) -> Iterator[bytes]:
    """Good documents with bytes changed, doubled, dropped or moved."""
    lots = random.Random(20)
    for number in range(count):
        content = bytearray((GOOD, *VENDORS)[number % 4].encode())
        for _ in range(lots.randint(1, 6)):
            at, to = sorted(lots.randrange(len(content)) for _ in range(2))
            match lots.randrange(4):
                case 0:
                    content[at] = lots.randrange(256)
                case 1:
                    del content[at : min(to, at + 12)]
                case 2:
                    content[at:at] = content[at : min(to, at + 40)]
                case _:
                    content[at:at] = lots.choice(
                        [b"<", b">", b"&", b'"', b"/", b"]]>", b"<!", b"\x00", b"\xff", b"&#x41;", b"< ", b"&nbsp;"]
                    )
        yield bytes(content)


# -- the run -----------------------------------------------------------------------------------------------------------


def fake_engine() -> Any:
    """A generator that beeps: a millisecond for each character, 50 ms at least."""
    import numpy as np

    from analogon.engines.generator import Generator
    from embed.media import Media

    class Beeps(Generator):
        name = "beeps:fake"
        modality = "audio"
        speaks = True
        identity = property(lambda self: {"family": "beeps"})

        def make(self, prompt: Any, settings: Any) -> Media:
            wave = np.sin(2 * np.pi * 150 * np.arange(max(400, 8 * len(prompt.text))) / 8000)
            return Media("audio", array=(0.5 * wave).astype(np.float32), rate=8000)

    return Beeps()


def run(found: list[str | bytes], speak: list[Callable[[Any], Any]]) -> dict[str, Any]:
    """Parse and speak each; what came of them, and whatever the process opened, connected to or started."""
    from analogon.speech import parse
    from embed.errors import AnalogonError

    for one in speak:  # all that is imported late is imported now
        one(parse('<speak>a <prosody pitch="+2st" rate="80%">b</prosody> <prosody pitch="99Hz">c</prosody></speak>'))
    touched: list[str] = []
    refused, spoken, wrong, slowest = 0, 0, [], (0.0, "")
    recording = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if recording and (event == "open" or event.split(".")[0] in ("socket", "subprocess", "os", "urllib", "ctypes")):
            touched.append(f"{event} {arguments[0]!r}"[:200])

    sys.addaudithook(hook)
    for document in found:
        begun = time.monotonic()
        try:
            tree = parse(document, "hostile.ssml")
            if parse(str(tree)) != tree:
                wrong.append(f"does not print itself: {document[:80]!r}")
            for one in speak:
                one(tree)
            spoken += 1
        except AnalogonError as error:
            refused += 1
            if not str(error).isprintable() or len(str(error)) > 500:
                wrong.append(f"not one line: {str(error)[:200]!r}")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}: {document[:80]!r}"[:300])
        took = time.monotonic() - begun
        slowest = max(slowest, (took, repr(document[:60])))
    recording = False
    return {"refused": refused, "spoken": spoken, "wrong": wrong, "touched": sorted(set(touched)), "slowest": slowest}


def main(canary: str, port: str, engine: str, every: str, mutants: str = "220") -> None:
    from analogon.generate.loading import load
    from analogon.speech import speak as spoken

    found = documents(Path(canary), int(port), int(mutants))
    if engine != "fake":  # a real one takes its time over long texts
        found = [document for document in found if len(document) < 1500]
    found = found[:: int(every)]
    if engine == "fake":
        ways = [lambda tree: spoken(tree, fake_engine())]
    else:
        real = load(engine)
        ways = [lambda tree: spoken(tree, real), lambda tree: spoken(tree, real, native=False)]
    print(json.dumps({"documents": len(found)} | run(found, ways)))


if __name__ == "__main__":
    main(*sys.argv[1:])
