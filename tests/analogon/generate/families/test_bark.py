"""bark against transformers' own processor and calls on a tiny checkpoint, and against EnCodec."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analogon.engines.generator import Generator, Settings, generate
from analogon.generate.families import bark
from analogon.generate.loading import load
from analogon.phrases.pieces import pieces
from analogon.prompts import Prompt
from analogon.speech import parse, to_script
from analogon.voices import Voice
from embed import hub
from embed.encoder import load as load_encoder
from embed.errors import AnalogonError, EncoderError, GeneratorError, ModelNotFound, UsageError
from embed.pipeline import encode
from tests.analogon.generate.families import tiny_bark
from tests.analogon.generate.families.tiny_bark import HOP, RATE, SEMANTIC, STEPS

TEXT = "rain on a tin roof"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return load(tiny_bark.save(tmp_path_factory.mktemp("bark")))


def made(generator: Generator, text: str = TEXT, **settings: Any) -> Any:
    return generator.make(Prompt(text), Settings(**settings)).array


def theirs(generator: Any) -> Any:
    from transformers import BarkModel

    return BarkModel.from_pretrained(generator.where, dtype=torch.float32).eval()


def spoken(model: Any, where: Path, text: str, voice: str | None = None) -> Any:
    """One piece as transformers makes it, by its own processor; the caller sets the seed."""
    from transformers import AutoTokenizer, BarkProcessor

    table = json.loads((where / "speaker_embeddings_path.json").read_text()) | {"repo_or_path": str(where)}
    processor = BarkProcessor(AutoTokenizer.from_pretrained(where), table)
    inputs = processor(text, voice_preset=voice, max_length=tiny_bark.TEXT)
    return model.generate(
        **inputs,
        do_sample=True,
        semantic_temperature=0.7,
        coarse_temperature=0.7,
        fine_temperature=0.5,
        min_eos_p=0.2,
    )[0].numpy()


@pytest.mark.parametrize("voice", [None, "v2/en_speaker_6", "en_speaker_1"])
def test_its_samples_are_those_of_transformers(tiny: Any, voice: str | None) -> None:
    model = theirs(tiny)
    torch.manual_seed(7)
    expected = spoken(model, tiny.where, TEXT, voice)
    ours = made(tiny, seed=7, voice=voice)
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    assert np.array_equal(ours, expected) and np.abs(expected).max() > 0.01


def test_voices_sound_different(tiny: Any) -> None:
    takes = {made(tiny, seed=7, voice=voice).tobytes() for voice in (None, *tiny.presets())}
    assert len(takes) == 5


def test_a_piece_is_as_long_as_its_semantic_tokens(tiny: Any) -> None:
    from transformers.models.bark.generation_configuration_bark import BarkSemanticGenerationConfig

    table = tiny_bark.GENERATION["semantic_config"]
    lengths = set()
    for seed in range(4):
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), hub.quiet():
            torch.manual_seed(seed)
            tokens = tiny._model.semantic.generate(
                **tiny._tokens(TEXT),
                semantic_generation_config=BarkSemanticGenerationConfig(**table),
                do_sample=True,
                temperature=0.7,
                min_eos_p=0.2,
            )
        count = int((tokens != SEMANTIC).sum())
        # Two frames of codes a semantic token: 250 a second and 125 a second.
        take = made(tiny, seed=seed)
        assert take.shape == (count * 2 * HOP,)
        lengths.add(len(take))
    assert max(lengths) == STEPS * 2 * HOP == STEPS / 125 * RATE


def test_a_seed_decides_and_the_global_generator_stays(tiny: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fresh = load(tiny.name)
    first, again, other = made(fresh, seed=1), made(fresh, seed=1), made(tiny, seed=2)
    assert first.tobytes() == again.tobytes() == made(tiny, seed=1).tobytes() != other.tobytes()
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_reach_the_model_and_its_identity(tiny: Any) -> None:
    usual = [made(tiny, seed=seed).tobytes() for seed in (1, 2)]
    for changed in ({"temperature": 0.1}, {"waveform_temperature": 0.1}):
        generator = load(tiny.name, **changed)
        assert [made(generator, seed=seed).tobytes() for seed in (1, 2)] != usual
        assert {key: generator.identity[key] for key in changed} == changed
    assert tiny.identity["family"] == "bark" and len(tiny.identity["weights"]) == 32
    for wrong in ({"temperature": 0}, {"waveform_temperature": float("inf")}, {"min_eos_p": 1.5}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            load(tiny.name, **wrong)


def test_a_preset_s_sample_is_its_fine_codes_decoded(tiny: Any) -> None:
    codec = theirs(tiny).codec_model
    for name in tiny.presets():
        codes = np.load(tiny.where / "speaker_embeddings" / f"{name}_fine_prompt.npy")
        with torch.inference_mode():
            expected = codec.decode(torch.from_numpy(codes)[None, None], [None]).audio_values[0, 0].numpy()
        sample = tiny.preset_sample(name)
        assert sample.rate == RATE and sample.array.shape == (28 * HOP,)
        assert np.abs(sample.array - expected).max() <= 1e-6 < np.abs(expected).max()


def test_voices_are_named_and_unknown_ones_refused(tiny: Any, tmp_path: Path) -> None:
    assert tiny.presets() == ["en_speaker_1", "v2/de_speaker_3", "v2/en_speaker_0", "v2/en_speaker_6"]
    with pytest.raises(UsageError, match="has no voice 'v2/en_speaker_9'; it has: v2/en_speaker_[06], .*v2/de_"):
        generate(tiny, TEXT, Settings(voice="v2/en_speaker_9"))
    with pytest.raises(UsageError, match="has no voice 'nobody'"):
        tiny.preset_sample("nobody")
    shutil.copytree(tiny.where, tmp_path / "mute")
    (tmp_path / "mute" / "speaker_embeddings_path.json").unlink()
    mute = load(f"bark:{tmp_path / 'mute'}")
    assert mute.presets() == []
    with pytest.raises(UsageError, match=r"has no voices: .* holds no speaker_embeddings_path.json"):
        generate(mute, TEXT, Settings(voice="v2/en_speaker_6"))
    assert np.array_equal(made(mute), made(tiny))


def test_a_language_chooses_a_voice(tiny: Any) -> None:
    took = generate(tiny, TEXT, Settings(language="de-AT", seed=3))
    assert took.remarks == (f"{tiny.name} was given no voice: v2/de_speaker_3 speaks de-AT",)
    assert np.array_equal(made(tiny, seed=3, language="de"), made(tiny, seed=3, voice="v2/de_speaker_3"))
    # Those of the second set come first.
    assert np.array_equal(made(tiny, seed=3, language="en"), made(tiny, seed=3, voice="v2/en_speaker_0"))
    other = generate(tiny, TEXT, Settings(language="en-GB", voice="v2/de_speaker_3"))
    assert other.remarks == ("the voice v2/de_speaker_3 speaks de, not en-GB",)
    assert not generate(tiny, TEXT, Settings(language="de", voice="v2/de_speaker_3")).remarks
    with pytest.raises(UsageError, match="has no voice for fr; it has some for de, en"):
        generate(tiny, TEXT, Settings(language="fr"))


def test_it_knows_the_language_of_its_voices(tiny: Any) -> None:
    assert tiny.language_spoken("v2/de_speaker_3", "en") == "de"  # a preset speaks its own, whatever is asked for
    assert tiny.language_spoken(None, "de-AT") == "de-AT"
    assert tiny.language_spoken() is None  # without either it goes by the text
    with pytest.raises(UsageError, match="has no voice for fr"):
        tiny.language_spoken(None, "fr")
    with pytest.raises(UsageError, match="has no voice 'es-ES-ElviraNeural'"):
        tiny.language_spoken("es-ES-ElviraNeural")
    two = '<say-as interpret-as="cardinal">2</say-as>'
    document = f'<speak xml:lang="en">a {two} <voice name="v2/de_speaker_3">b {two}</voice></speak>'
    script = to_script(parse(document), Settings(), tiny)
    assert [segment.text for segment in script.segments] == ["a two", "b 2"]
    assert script.remarks == ("say-as 'cardinal' in de: the text is left to the engine as it stands",)


def test_a_kept_voice_becomes_the_nearest_preset(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder("toy:64")
    names = tiny.presets()
    rows = encode(encoder, [tiny.preset_sample(name) for name in names]).array
    for number, name in enumerate(names):
        voice = Voice("narrator", {encoder.space: rows[number]})
        assert tiny.remarks(Prompt(TEXT), Settings(voice=voice)) == [
            f"{tiny.name} cannot take the voice narrator on: of its 4 voices {name} is nearest (cosine 1.00, toy:64)"
        ]
    assert np.array_equal(made(tiny, seed=3, voice=voice), made(tiny, seed=3, voice=name))
    # Between two: the one with the greater share, by cosines worked out here.
    mixed = 0.7 * rows[2] + 0.3 * rows[1]
    mixed = (mixed / np.linalg.norm(mixed)).astype(np.float32)
    voice = Voice("mixed", {encoder.space: mixed})
    remark = tiny.remarks(Prompt(TEXT), Settings(voice=voice))[0]
    assert names[int((rows @ mixed).argmax())] in remark and f"{(rows @ mixed).max():.2f}" in remark
    # A language narrows the choice.
    german = tiny.remarks(Prompt(TEXT), Settings(voice=voice, language="de"))[0]
    assert "of its 1 voices v2/de_speaker_3 is nearest" in german

    def asked_again(*args: Any) -> None:
        raise AssertionError("what was found is remembered")

    monkeypatch.setattr(bark, "nearest", asked_again)
    assert load(tiny.name).remarks(Prompt(TEXT), Settings(voice=voice)) == [remark]
    for kept in (hub.cache_folder() / "presets").iterdir():
        kept.write_text("{")
    with pytest.raises(AssertionError, match="remembered"):
        load(tiny.name).remarks(Prompt(TEXT), Settings(voice=voice))


def test_a_voice_that_no_encoder_can_compare_is_refused(tiny: Any) -> None:
    from embed.space import Space

    space = Space("nosuch:model", "0" * 32, "none", 4)
    voice = Voice("narrator", {space: np.array([1, 0, 0, 0], np.float32)})
    with pytest.raises(
        UsageError, match="the voice narrator cannot be compared with recordings: nosuch:model cannot be"
    ):
        generate(tiny, TEXT, Settings(voice=voice))


def test_pieces_are_cut_where_it_is_least_heard() -> None:
    assert pieces("Hello there.", 180) == ["Hello there."]
    text = "One two. Three four! Five, six? Seven eight nine ten eleven."
    assert pieces(text, 20) == ["One two. Three four!", "Five, six?", "Seven eight nine ten", "eleven."]
    assert pieces("A first clause, a second one; and a third", 20) == [
        "A first clause,",
        "a second one;",
        "and a third",
    ]
    assert pieces('He said: "Go on." [clears throat] And so on.', 22) == [
        'He said: "Go on."',
        "[clears throat] And so",
        "on.",
    ]
    assert pieces("la [long sigh] la [long sigh]", 11) == ["la", "[long sigh]", "la", "[long sigh]"]
    assert pieces("x" * 25 + " y", 9) == ["x" * 9, "x" * 9, "x" * 7 + " y"]
    assert pieces("雨" * 7, 9) == ["雨雨雨", "雨雨雨", "雨"]
    assert pieces("今天下雨。明天晴天。", 16) == ["今天下雨。", "明天晴天。"]
    assert pieces("Version 3.5 costs 1,000 now. Yes.", 29) == ["Version 3.5 costs 1,000 now.", "Yes."]


def test_pieces_lose_nothing_and_fit() -> None:
    random = np.random.default_rng(0)
    words = [
        "rain",
        "roof,",
        "tin.",
        "[laughs]",
        "♪",
        "wow!",
        "3.14",
        "雨が降る。",
        "antidisestablishmentarianism",
        "(so)",
    ]
    for count in (1, 30, 10_000):
        text = " ".join(random.choice(words, count))
        for most in (20, 60, 180):
            cut = pieces(text, most)
            assert re.sub(r"\s", "", "".join(cut)) == re.sub(r"\s", "", text)
            assert all(
                piece and (len(piece) + 2 * sum("\u2e80" <= one <= "\u9fff" for one in piece)) <= most for piece in cut
            )
    # As many as needed: two neighbours never fit into one.
    cut = pieces(" ".join(["rain"] * 1000), 180)
    assert len(cut) == 28 and {len(piece) for piece in cut[:-1]} == {179}


def test_a_long_text_is_spoken_in_pieces_with_pauses(tiny: Any) -> None:
    text = "rain on a tin roof. a dog barks. crowd"
    parts = ["rain on a tin roof.", "a dog barks. crowd"]
    assert tiny._pieces(text) == parts
    model = theirs(tiny)
    torch.manual_seed(4)
    said = [spoken(model, tiny.where, part, "v2/en_speaker_6") for part in parts]
    pause = np.zeros(RATE // 4, np.float32)
    expected = np.concatenate([said[0], *(piece for one in said[1:] for piece in (pause, one))])
    assert np.array_equal(made(tiny, text, seed=4, voice="v2/en_speaker_6"), expected)
    line = f"{tiny.name} speaks about 13 s at a time: the text became 2 pieces, 0.25 s apart"
    assert generate(tiny, text, Settings(voice="v2/en_speaker_6")).remarks == (line,)
    assert generate(tiny, text).remarks == (f"{line}; without a voice each may have another",)


def test_what_it_is_given_to_speak(tiny: Any) -> None:
    for nothing in ("", " \n\t "):
        with pytest.raises(UsageError, match="was given nothing to speak"):
            generate(tiny, nothing)
    assert np.array_equal(made(tiny, "rain\n  on a\troof"), made(tiny, "rain on a roof"))
    assert made(tiny, "half \ud83d").size
    took = generate(tiny, TEXT, Settings(seconds=3))
    assert took.remarks == (f"{tiny.name} cannot be told how long a take shall be",)
    remark = tiny.remarks(Prompt("rain on a roof. " * 2500), Settings(voice="v2/en_speaker_6"))
    assert remark == [f"{tiny.name} speaks about 13 s at a time: the text became 2500 pieces, 0.25 s apart"]


def test_a_take_that_ends_at_once_is_told(tiny: Any) -> None:
    hasty = load(tiny.name, min_eos_p=1e-9)
    assert hasty.identity["min_eos_p"] == 1e-9
    with pytest.raises(GeneratorError, match="another seed or text may do"):
        generate(hasty, TEXT)


def test_weights_of_older_checkpoints_are_the_same_model(tiny: Any, tmp_path: Path) -> None:
    """A pytorch_model.bin with weight_g and weight_v, the tied heads and the causal masks of older releases."""
    shutil.copytree(tiny.where, tmp_path / "old")
    weights = load_file(tmp_path / "old" / "model.safetensors")
    old = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in weights.items()
    }
    assert old.keys() != weights.keys()
    for number in range(7):
        tied = old[f"fine_acoustics.input_embeds_layers.{number + 1}.weight"]
        old[f"fine_acoustics.lm_heads.{number}.weight"] = tied.clone()
    old["semantic.layers.0.attn.bias"] = torch.ones(1, 1, 96, 96)
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save(old, tmp_path / "old" / "pytorch_model.bin")
    assert np.array_equal(made(load(f"bark:{tmp_path / 'old'}"), seed=2), made(tiny, seed=2))


def damage(folder: Path, kind: str) -> None:
    prompts = folder / "speaker_embeddings" / "v2" / "en_speaker_6_fine_prompt.npy"
    paths = folder / "speaker_embeddings_path.json"
    config, generation = folder / "config.json", folder / "generation_config.json"
    match kind:
        case "no config":
            config.unlink()
        case "no generation settings":
            generation.unlink()
        case "half of the generation settings":
            table = json.loads(generation.read_text())
            del table["coarse_acoustics_config"]
            generation.write_text(json.dumps(table))
        case "another model":
            config.write_text(json.dumps({"model_type": "bert"}))
        case "no codec":
            config.write_text(json.dumps(json.loads(config.read_text()) | {"codec_config": {"model_type": "t5"}}))
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "a weight lacks":
            weights = load_file(folder / "model.safetensors")
            del weights["semantic.lm_head.weight"]
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        case "no vocabulary":
            (folder / "tokenizer.json").unlink()
        case "a voice's file lacks":
            prompts.unlink()
        case "a voice's file is cut":
            prompts.write_bytes(prompts.read_bytes()[:100])
        case "a voice of objects":
            np.save(prompts, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        case "a voice of another shape":
            np.save(prompts, np.zeros((2, 9), np.int64))
        case "a voice of other codes":
            np.save(prompts, np.full((8, 9), tiny_bark.SIZE))
        case "a voice from elsewhere":
            table = json.loads(paths.read_text())
            table["v2/en_speaker_6"]["fine_prompt"] = "../elsewhere.npy"
            np.save(folder.parent / "elsewhere.npy", np.zeros((8, 9), np.int64))
            paths.write_text(json.dumps(table))
        case "no table of voices":
            paths.write_text("[1]")


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("no config", ModelNotFound, "holds no config.json"),
        ("no generation settings", ModelNotFound, "holds no generation_config.json"),
        ("half of the generation settings", EncoderError, "generation_config.json: holds no coarse_acoustics_config"),
        ("another model", EncoderError, "bark reads bark checkpoints, not model_type 'bert'"),
        ("no codec", EncoderError, "config.json: not a configuration of Bark"),
        ("no weights", EncoderError, "BarkModel cannot be loaded"),
        ("a weight lacks", EncoderError, "the checkpoint has no semantic.lm_head.weight"),
        ("no vocabulary", EncoderError, "tokenizer"),
        ("a voice's file lacks", GeneratorError, "en_speaker_6_fine_prompt.npy: the voice v2/en_speaker_6 cannot be"),
        ("a voice's file is cut", GeneratorError, "the voice v2/en_speaker_6 cannot be read"),
        ("a voice of objects", GeneratorError, "the voice v2/en_speaker_6 cannot be read"),
        ("a voice of another shape", GeneratorError, "should hold whole numbers (8, 'n')"),
        ("a voice of other codes", GeneratorError, "should hold numbers from 0 to 15"),
        ("a voice from elsewhere", GeneratorError, "is not a file of this folder: ../elsewhere.npy"),
        ("no table of voices", EncoderError, "speaker_embeddings_path.json: should hold a JSON object"),
    ],
)
def test_a_damaged_folder_is_told_in_one_line(
    tiny: Any, tmp_path: Path, kind: str, error: type[AnalogonError], words: str
) -> None:
    shutil.copytree(tiny.where, tmp_path / "model")
    damage(tmp_path / "model", kind)
    with pytest.raises(error) as caught:
        generate(load(f"bark:{tmp_path / 'model'}"), TEXT, Settings(voice="v2/en_speaker_6"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_is_loaded_early_and_nothing_is_printed(
    tiny: Any, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        generator = load(tiny.name)
        assert not {"_model", "_tokenizer", "_paths"} & generator.__dict__.keys()
        generate(generator, TEXT, Settings(voice="v2/en_speaker_6"))
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records and capfd.readouterr() == ("", "")
