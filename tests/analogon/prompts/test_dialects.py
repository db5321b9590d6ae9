"""Prompts in dialects: within the limits, of the input's own words, and with all that was cut named."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analogon.prompts import Prompt
from analogon.prompts.dialects import Composed, compose, dialect, dialects, estimated_tokens, names
from analogon.prompts.dialects.compose import INSTRUMENTAL
from analogon.prompts.dialects.phrases import clean, clean_lines
from embed.errors import UsageError

CAPTION = (
    "A low quality recording features a ballad song that contains sustained strings, mellow piano melody and soft "
    "female vocal singing over it. It sounds sad and soulful, like something you would hear at Sunday services."
)
WORD = re.compile(r"[^\W_]+")


def words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.casefold()))


def prompts(*texts: str | tuple[str, float]) -> list[Prompt]:
    return [Prompt(text) if isinstance(text, str) else Prompt(*text) for text in texts]


# -- what each dialect looks like --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("musicgen", {"prompt": "Slow rain. Soft piano, e.g. a ballad"}),
        ("musiclm", {"prompt": "Slow rain. Soft piano, e.g. a ballad."}),
        ("stable-audio", {"prompt": "Slow rain, Soft piano, e.g. a ballad"}),
        ("suno", {"style": "Slow rain, Soft piano, e.g. a ballad", "lyrics": "[Instrumental]"}),
        ("bark", {"prompt": "Slow rain. Soft piano, e.g. a ballad"}),
        ("stable-diffusion", {"prompt": "Slow rain, Soft piano, e.g. a ballad"}),
    ],
)
def test_a_caption_in_each_dialect(name: str, expected: dict[str, str]) -> None:
    assert compose(prompts("Slow rain. Soft  piano,\ne.g. a ballad"), name).fields == expected


def test_phrases_become_tags_a_text_or_a_sentence() -> None:
    phrases = prompts("warm rhodes", "vinyl crackle", "it drags on.")
    assert compose(phrases, "musiclm").text == "Warm rhodes, vinyl crackle. It drags on."
    assert compose(phrases, "musicgen").text == "warm rhodes, vinyl crackle. it drags on."
    assert compose(phrases, "stable-audio").text == "warm rhodes, vinyl crackle, it drags on"


def test_several_fields_stand_under_their_names_and_one_alone() -> None:
    made = compose(prompts("rain"), "stable-audio", negative=["hiss, hum", "clicks"])
    assert made.fields == {"prompt": "rain", "negative prompt": "hiss, hum, clicks"}
    assert made.text == "prompt:\nrain\n\nnegative prompt:\nhiss, hum, clicks"
    assert not made.remarks
    assert compose(prompts("rain"), "musicgen").text == "rain"


def test_what_a_dialect_cannot_say_is_told() -> None:
    made = compose(prompts("rain"), "musicgen", negative=["hiss"], lyrics="[Verse]\nla la", seconds=45)
    assert made.fields == {"prompt": "rain"}
    assert made.seconds == 30
    assert made.remarks == (
        'musicgen takes no lyrics: left out "[Verse]", "la la"',
        'musicgen knows no negative prompt: not said: "hiss"',
        "musicgen makes 30 s at most, not 45 s",
    )
    assert compose(prompts("rain"), "stable-audio", seconds=45).seconds == 45
    assert compose(prompts("a cat"), "flux", seconds=4).remarks == ("flux takes no length: 4 s cannot be asked",)


# -- weights -----------------------------------------------------------------------------------------------------------


def test_weights_are_written_where_they_are_read() -> None:
    made = compose(prompts(("a cat (tabby)", 1.2), ("oil on canvas", 1.0), ("fog", 0.8)), "automatic1111")
    assert made.fields["prompt"] == r"(a cat \(tabby\):1.2), oil on canvas, (fog:0.8)"
    assert not made.remarks
    assert compose([Prompt(made.text)], "automatic1111").text == made.text


def test_weights_that_interfaces_do_not_bear_are_clipped_and_told() -> None:
    made = compose(prompts(("cat", 9.0), ("fog", 1.0)), "automatic1111")
    assert made.text == "(cat:1.5), (fog:0.5)"
    assert made.remarks == (
        'weights stay between 0.5 and 1.5: "cat" has 1.5, not 1.8',
        'weights stay between 0.5 and 1.5: "fog" has 0.5, not 0.2',
    )
    assert compose(prompts(("cat", -1.0), ("fog", 1.0)), "automatic1111").text == "cat, fog"


def test_elsewhere_the_heaviest_come_first_and_that_is_told() -> None:
    made = compose(prompts(("fog", 0.2), ("cat", 0.9), ("hat", 0.2)), "stable-diffusion")
    assert made.text == "cat, fog, hat"
    assert made.remarks == ("stable-diffusion reads no weights: the heaviest phrases come first",)


def test_weights_take_no_room_among_the_tokens() -> None:
    phrases = [Prompt(f"x{i}", 1.0 + i / 100) for i in range(60)]
    made = compose(phrases, "automatic1111", tokenizer=lambda text: len(re.findall(r"\w+|,", text)))
    # A word and a comma each but for the last: the 38 heaviest are 75 tokens, in their order.
    assert re.findall(r"x\d+", made.text) == [f"x{i}" for i in range(22, 60)]
    assert "(x59:1.23)" in made.text  # 1.59 of a mean of 1.295


def test_a_phrase_is_said_once_with_its_greatest_weight() -> None:
    made = compose(prompts(("Piano, drums", 0.5), ("piano", 2.0), ("flute", 1.0)), "stable-audio")
    assert made.text == "Piano, flute, drums"
    assert 'said once, though asked more often: "piano"' in made.remarks


# -- limits ------------------------------------------------------------------------------------------------------------


def test_the_lightest_phrases_go_first_and_are_named() -> None:
    phrases = [Prompt(f"phrase number {i:02}", weight=float(i)) for i in range(30)]
    made = compose(phrases, "suno-v4")
    # 200 characters hold eleven phrases of 16 with two between: 11 * 18 - 2 = 196.
    assert made.fields["style"] == ", ".join(f"phrase number {i:02}" for i in range(29, 18, -1))
    assert len(made.fields["style"]) == 196
    left_out = ", ".join(f'"phrase number {i:02}"' for i in range(18, -1, -1))
    assert f"style: cut to 200 characters: left out {left_out}" in made.remarks


def test_a_long_caption_is_cut_at_a_sentence_then_at_a_comma_then_between_words() -> None:
    def count(text: str) -> int:
        return len(text.split())

    long = " ".join(["slow"] * 240) + "."
    made = compose(prompts(f"Rain falls. {long}"), "flux-schnell", tokenizer=count)
    assert made.text.startswith("Rain falls. slow")  # 242 words fit into 255
    made = compose(prompts(f"Rain falls. {long} {long.replace('slow', 'loud')}"), "flux-schnell", tokenizer=count)
    assert made.text == f"Rain falls. {long}"
    assert made.remarks == (f'prompt: cut to 255 tokens of T5: left out "{long.replace("slow", "loud")}"',)
    clauses = ", ".join([" ".join(["w"] * 100)] * 3)
    made = compose(prompts(clauses), "flux-schnell", tokenizer=count)
    assert made.text == ", ".join([" ".join(["w"] * 100)] * 2)
    made = compose(prompts(" ".join(["w"] * 300)), "flux-schnell", tokenizer=count)
    assert made.text == " ".join(["w"] * 255)
    assert made.remarks[0].endswith('left out "' + " ".join(["w"] * 45) + '"')


def test_an_estimate_says_so_and_a_tokenizer_does_not_need_to() -> None:
    text = ", ".join(f"w{chr(97 + i // 10)}{chr(97 + i % 10)}" for i in range(90))
    (estimated,) = [r for r in compose(prompts(text), "stable-diffusion").remarks if "cut to" in r]
    assert "cut to 75 tokens of CLIP, by estimate:" in estimated
    counted = compose(prompts("a, b, c"), "stable-diffusion", tokenizer=lambda text: 40 * len(text.split()))
    assert counted.text == "a"
    assert counted.remarks == ('prompt: cut to 75 tokens of CLIP: left out "b", "c"',)


def test_the_tokenizer_of_a_folder_counts(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"[UNK]": 0, ",": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained(tmp_path)
    composed = compose(prompts(", ".join(f"x{i}" for i in range(60))), "stable-diffusion", tokenizer=tmp_path)
    # A word and a comma each but for the last: 38 words are 75 tokens.
    assert composed.text == ", ".join(f"x{i}" for i in range(38))
    with pytest.raises(UsageError, match="not a folder with a tokenizer's files"):
        compose(prompts("x"), "flux", tokenizer=tmp_path / "none")


def test_the_estimate_is_cautious_on_real_captions(shared: Path) -> None:
    """English makes 1.2 to 1.5 tokens a word in CLIP's vocabulary; the estimate must not be below the words."""
    with (shared / "data/prompts/musiccaps.csv").open(encoding="utf-8") as file:
        captions = [row["caption"] for row in csv.DictReader(file)][:500]
    counts = [len(re.findall(r"[^\W\d_]+|\d|[^\w\s]", caption)) for caption in captions]
    assert all(estimated_tokens(caption) >= count for caption, count in zip(captions, counts, strict=True))
    assert sum(map(estimated_tokens, captions)) < 1.6 * sum(counts)


# -- Suno and Bark -----------------------------------------------------------------------------------------------------


def test_lyrics_keep_their_lines_and_lose_whole_ones() -> None:
    lyrics = "[Verse]\nRain on  the window\n\n\n\n[Chorus]\nStay\x07 with me"
    made = compose(prompts("ballad"), "suno", lyrics=lyrics)
    assert made.fields["lyrics"] == "[Verse]\nRain on the window\n\n[Chorus]\nStay with me"
    assert not made.remarks
    longer = "\n".join(["[Verse]", *["la " * 100] * 9, "[Chorus]", "so " * 120 + "end"])
    made = compose(prompts("ballad"), "suno-v4", lyrics=longer)
    assert made.fields["lyrics"].endswith("la")  # no section without words at the end
    (cut,) = made.remarks
    assert cut.startswith('lyrics: cut to 3,000 characters: left out the last 2 lines: "[Chorus]", "so so')


def test_suno_is_told_what_it_would_refuse_or_guess() -> None:
    made = compose(prompts("guitars in the style of Prince, slow"), "suno", lyrics="la la", negative=["drums"])
    assert list(made.fields) == ["style", "lyrics", "exclude"]
    assert made.fields["exclude"] == "drums"
    assert any('"in the style of Prince" may be refused' in remark for remark in made.remarks)
    assert any("no section tags" in remark for remark in made.remarks)
    assert not any("Prince" in remark for remark in compose(prompts("in the style of Prince"), "musicgen").remarks)


def test_bark_speaks_in_pieces_and_leaves_nothing_out() -> None:
    sentence = "This is a sentence of exactly nine words now."  # 3.6 s at 150 words a minute
    made = compose(prompts(" ".join([sentence] * 7)), "bark")
    assert made.fields == {
        "prompt": " ".join([sentence] * 3),
        "prompt 2": " ".join([sentence] * 3),
        "prompt 3": sentence,
    }
    assert made.remarks == (
        "about 25 s at 150 words a minute, a guess: 3 pieces of at most 13 s, to be made one after the other with the "
        "same voice",
    )


def test_bark_sings_lyrics_and_knows_its_tags() -> None:
    made = compose(prompts("Well [clears throat] [barks] HELLO"), "bark", lyrics="[Verse]\nla la\n♪ lo lo ♪")
    assert made.fields == {"prompt": "Well [clears throat] [barks] HELLO ♪ la la ♪ ♪ lo lo ♪"}
    assert made.remarks[0] == 'bark knows no sections: left out "[Verse]"'
    assert made.remarks[1].startswith('bark may read "[barks]" aloud: its tags are [laughter], [laughs]')
    assert compose([], "bark", lyrics="la").fields == {"prompt": "♪ la ♪"}


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [[], [""], [" \x00\n"], ["...", ", ,"]])
@pytest.mark.parametrize("name", names())
def test_nothing_to_say_is_refused_in_one_line(empty: list[str], name: str) -> None:
    with pytest.raises(UsageError, match="there is nothing to compose") as caught:
        compose(prompts(*empty), name, negative=["hiss"])
    assert "\n" not in str(caught.value)


def test_wrong_requests_are_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="no dialect 'sono'; there are: musicgen, "):
        compose(prompts("rain"), "sono")
    with pytest.raises(UsageError, match="not even the first word fits into 200 characters"):
        compose(prompts("x" * 201), "suno-v4")
    with pytest.raises(UsageError, match="not even the first line fits"):
        compose(prompts("x"), "suno-v4", lyrics="[Verse]\n" + "x" * 3001)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="positive seconds"):
            compose(prompts("rain"), "musicgen", seconds=seconds)
    with pytest.raises(UsageError, match="weight nan"):
        compose(prompts(("rain", float("nan"))), "musicgen")


def test_every_dialect_says_what_it_is() -> None:
    assert len(set(names())) == len(names())
    for one in dialects():
        assert dialect(one.name) is one
        assert one.description and "\n" not in one.description + one.advice
    assert dialect("stable-diffusion").limits == {
        "prompt": "75 tokens of CLIP",
        "negative prompt": "75 tokens of CLIP",
    }
    assert dialect("suno").limits == {"style": "1,000 characters", "lyrics": "5,000 characters"}
    assert dialect("musicgen").limits["length"] == "30 s"


# -- for every input ---------------------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["warm rhodes, vinyl crackle", "Slow rain falls. It is night!", "(fog:1.3)", "a (b, c) d", "[laughs]", "90 BPM"]
    ),
    st.text(st.sampled_from("ab ,.;()[]:!1é日♪\n"), max_size=60),
    st.sampled_from([CAPTION, "rain " * 90, "日本語の文。" * 30, "e.g. J. S. Bach, "]),
)
PROMPTS = st.lists(st.builds(Prompt, st.lists(PIECES, max_size=4).map(" ".join), st.floats(0.1, 3.0)), max_size=6)


def said(name: str, asked: list[Prompt], negative: list[str], lyrics: str) -> Composed | None:
    try:
        return compose(asked, name, negative=negative, lyrics=lyrics)
    except UsageError as error:
        assert "\n" not in str(error)
        return None


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(names()), PROMPTS, st.lists(PIECES, max_size=2), st.text(max_size=40))
@example("automatic1111", [Prompt("((a:1.2), b:3)")], [], "")
@example("suno-v4", [Prompt("x, " * 100), Prompt("y " * 300, 2.0)], [], "[Chorus]")
def test_fields_hold_only_the_input_within_limits_and_what_was_cut_is_named(
    name: str, asked: list[Prompt], negative: list[str], lyrics: str
) -> None:
    made = said(name, asked, negative, lyrics)
    if made is None:
        return
    one = dialect(name)
    for field, text in made.fields.items():
        limit = one.lyrics if field == "lyrics" else one.negative_limit if field == one.negative else one.limit
        if limit is not None and limit.tokens_of is None:
            assert len(text) <= limit.most
        elif limit is not None and not one.weights:
            assert estimated_tokens(text) <= limit.most
        assert text == "\n".join(" ".join(line.split()) for line in text.splitlines())
        assert all(not (ord(sign) < 32 and sign != "\n") and not 0xD800 <= ord(sign) < 0xE000 for sign in text)
    assert all("\n" not in remark for remark in made.remarks)
    given_words = words(" ".join([clean(prompt.text) for prompt in asked] + list(map(clean, negative))))
    given_words += words(clean_lines(lyrics)) + words(INSTRUMENTAL)
    weights = re.compile(r":\d+(\.\d+)?\)")
    used = (
        words(weights.sub(")", " ".join(made.fields.values())))
        if one.weights
        else words(" ".join(made.fields.values()))
    )
    assert not used - given_words
    lost = given_words - used - words(INSTRUMENTAL)
    if not one.weights:
        assert not set(lost) - set(words(" ".join(made.remarks)))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(names()), PROMPTS)
@example("automatic1111", [Prompt("cat", 3.0), Prompt("fog (thick", 0.1)])
@example("automatic1111", [Prompt("0[", 2.0), Prompt("fog (thick", 0.5), Prompt("0]", 1.0), Prompt("a)", 0.7)])
@example("automatic1111", [Prompt("0 (. )")])
@example("automatic1111", [Prompt(".)0"), Prompt("(a) b (c:1.2)")])
@example("musiclm", [Prompt("a"), Prompt("b."), Prompt("c")])
@example("bark", [Prompt("; " + "rain " * 60)])
@example("stable-audio", [Prompt("00.."), Prompt("b,."), Prompt("c...")])
def test_what_was_composed_stays_as_it_is(name: str, asked: list[Prompt]) -> None:
    made = said(name, asked, [], "")
    if made is None:
        return
    pieces = [text for field, text in made.fields.items() if field != "lyrics"]
    again = compose([Prompt(text) for text in pieces], name)
    if dialect(name).spoken:  # a sentence cut into pieces may find room beside the one before it
        assert " ".join(again.fields.values()) == " ".join(made.fields.values())
    else:
        assert again.fields == made.fields
    assert not [remark for remark in again.remarks if "cut" in remark]
