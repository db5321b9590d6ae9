"""fastspeech2 against transformers' own calls on tiny checkpoints.

A stand-in says a few words' phonemes in place of g2p_en, whose dictionary and tagger are a download of their own.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from analogon.engines.generator import Settings, generate
from analogon.generate.families import fastspeech2
from analogon.generate.loading import load
from analogon.prompts import Prompt
from analogon.voices import Voice
from embed.errors import AnalogonError, EncoderError, MissingPackage, ModelNotFound, UsageError
from embed.space import Space
from tests.analogon.generate.families import tiny_fastspeech2
from tests.analogon.generate.families.tiny_fastspeech2 import HOP, PHONEMES, RATE, nltk_with, stand_in

TEXT = "rain on a tin roof"


@pytest.fixture(autouse=True)
def phonemes(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fastspeech2")
    tiny_fastspeech2.save(made / "with")
    tiny_fastspeech2.save(made / "without", vocoder=False)
    tiny_fastspeech2.save(made / "many", num_speakers=3)
    tiny_fastspeech2.hifigan(made / "one")
    tiny_fastspeech2.hifigan(made / "other", seed=1)
    return made


@pytest.fixture
def whole(folder: Path) -> Any:
    return load(f"fastspeech2:{folder / 'with'}")


def theirs(where: Path, text: str, vocoder: Path | None = None, speed: float = 1.0, speaker: int | None = None) -> Any:
    """What transformers makes of the same folders."""
    from transformers import (
        FastSpeech2ConformerHifiGan,
        FastSpeech2ConformerModel,
        FastSpeech2ConformerTokenizer,
        FastSpeech2ConformerWithHifiGan,
    )

    tokens = FastSpeech2ConformerTokenizer.from_pretrained(where)(text, return_tensors="pt")["input_ids"]
    who = {} if speaker is None else {"speaker_ids": torch.tensor([[speaker]])}
    with torch.no_grad():
        if vocoder is None:
            both = FastSpeech2ConformerWithHifiGan.from_pretrained(where, dtype=torch.float32).eval()
            both.model.config.speaking_speed = speed
            return both(tokens, return_dict=True, **who)["waveform"][0].numpy()
        model = FastSpeech2ConformerModel.from_pretrained(where, dtype=torch.float32).eval()
        spectrogram = model(tokens, return_dict=True, **who)["spectrogram"]
        made = FastSpeech2ConformerHifiGan.from_pretrained(vocoder, dtype=torch.float32).eval()
        return made(spectrogram)[0].numpy()


def made(generator: Any, text: str = TEXT, **settings: Any) -> Any:
    return generator.make(Prompt(text), Settings(**settings)).array


@pytest.mark.parametrize("text", [TEXT, "Hello!", "xylo rain."])
def test_its_samples_are_those_of_transformers(whole: Any, folder: Path, text: str) -> None:
    expected = theirs(folder / "with", text)
    ours = made(whole, text)
    assert ours.dtype == np.float32 and np.array_equal(ours, expected)
    assert np.abs(expected).max() > 0.01 and len(expected) % HOP == 0 and len(expected) > 8 * HOP


def test_a_vocoder_beside_it(folder: Path) -> None:
    takes = []
    for name in ("one", "other"):
        generator: Any = load(f"fastspeech2:{folder / 'without'}", vocoder=str(folder / name))
        takes.append(made(generator))
        assert np.array_equal(takes[-1], theirs(folder / "without", TEXT, folder / name))
        assert generator.stages[1].model == str(folder / name)
    assert takes[0].shape == takes[1].shape and np.abs(takes[0] - takes[1]).max() > 0.01


def test_a_vocoder_of_ones_own_is_swapped(whole: Any, folder: Path) -> None:
    swapped = load(whole.name, vocoder=str(folder / "other"))
    assert len(made(swapped)) == len(made(whole)) and np.abs(made(swapped) - made(whole)).max() > 0.01
    assert swapped.identity["vocoder_weights"] and not whole.identity["vocoder_weights"]
    assert [str(step) for step in whole.stages] == [
        f"synthesizer: {folder / 'with'} (phonemes to 8 log-mel bands)",
        f"vocoder: {folder / 'with'} (the bands to sound at 22050 Hz)",
    ]


def test_rate_and_length(whole: Any, folder: Path, tmp_path: Path) -> None:
    take = generate(whole, TEXT).media
    assert take.rate == RATE and whole.hop == HOP
    vocoder = tiny_fastspeech2.hifigan(tmp_path / "v", upsample_rates=[4, 6], upsample_kernel_sizes=[8, 12])
    table = json.loads((tmp_path / "v" / "config.json").read_text())
    (tmp_path / "v" / "config.json").write_text(json.dumps(table | {"sampling_rate": 16000}))
    other = generate(load(whole.name, vocoder=vocoder), TEXT).media
    assert other.rate == 16000 and other.array is not None and take.array is not None
    assert len(other.array) * HOP == len(take.array) * 24


def test_every_seed_gives_the_same_take(whole: Any) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert made(whole, seed=1).tobytes() == made(whole, seed=2).tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert generate(whole, TEXT, Settings(seed=1)).remarks == (
        f"{whole.name} draws nothing by lot: every seed gives the same take",
    )
    assert generate(whole, TEXT).remarks == ()


def test_a_faster_rate_is_shorter(whole: Any, folder: Path, tmp_path: Path) -> None:
    usual = made(whole)
    for rate in (0.5, 2.0):
        generator = load(whole.name, speaking_rate=rate)
        take = made(generator)
        assert np.array_equal(take, theirs(folder / "with", TEXT, speed=1 / rate))
        assert (len(take) < len(usual)) == (rate > 1) and generator.identity["speaking_rate"] == rate
    assert len(made(load(whole.name, speaking_rate=0.5))) == 2 * len(usual)
    assert whole.identity["speaking_rate"] == 1.0
    own = load(tiny_fastspeech2.save(tmp_path / "slow", speaking_speed=2.0))  # times as long, not as fast
    assert own.identity["speaking_rate"] == 0.5
    assert np.array_equal(made(own), made(load(whole.name, speaking_rate=0.5)))
    json.dumps(whole.identity)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused(whole: Any, rate: float) -> None:
    with pytest.raises(UsageError, match="speaking_rate must be above 0"):
        load(whole.name, speaking_rate=rate)


def test_its_own_speakers(folder: Path) -> None:
    many: Any = load(f"fastspeech2:{folder / 'many'}")
    takes = [made(many, voice=str(number)) for number in range(3)]
    for number, take in enumerate(takes):
        assert np.array_equal(take, theirs(folder / "many", TEXT, speaker=number))
    assert len({take.tobytes() for take in takes}) == 3
    silent = generate(many, TEXT)
    assert np.array_equal(silent.media.array, takes[0])
    assert silent.remarks == (f"{many.name} was given no voice: speaker 0 of 0 to 2 speaks",)
    for voice in ("3", "narrator", ""):
        with pytest.raises(UsageError, match="has no speaker .*: it has its own speakers, 0 to 2"):
            made(many, voice=voice)
    kept = Voice("narrator", {Space("speaker", "w", "p", 512): np.eye(1, 512, dtype=np.float32)[0]})
    with pytest.raises(UsageError, match="cannot speak as the kept voice narrator"):
        made(many, voice=kept)


def test_a_model_of_one_speaker_takes_no_voice(whole: Any) -> None:
    with pytest.raises(UsageError, match="takes no voice; it takes language"):
        generate(whole, TEXT, Settings(voice="0"))


def test_it_speaks_english(whole: Any) -> None:
    assert np.array_equal(generate(whole, TEXT, Settings(language="en-GB")).media.array, made(whole))
    with pytest.raises(UsageError, match="speaks English, not de"):
        generate(whole, TEXT, Settings(language="de"))


def test_what_it_cannot_say_is_said(whole: Any) -> None:
    took = generate(whole, "rain 日本 on café a tin roof")
    assert took.remarks == (f"{whole.name} leaves out letters that are not Latin, in '日本'",)
    for text in ("!?", "日本", "\ud800"):
        with pytest.raises(UsageError, match="finds no English word to speak in") as caught:
            generate(whole, text)
        assert str(caught.value).encode()
    with pytest.raises(UsageError, match="was given nothing to speak"):
        generate(whole, " \n")


def test_a_long_text_is_spoken_in_pieces(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastspeech2, "PIECE", 14)
    took = generate(whole, "rain on a tin. hello roof!")
    assert took.remarks == (f"{whole.name}: the text became 2 pieces, 0.25 s apart",)
    pause = np.zeros(round(RATE / 4), np.float32)
    expected = np.concatenate([made(whole, "rain on a tin."), pause, made(whole, "hello roof!")])
    assert np.array_equal(took.media.array, expected)


# -- packages ----------------------------------------------------------------------------------------------------------


def test_without_g2p_it_names_the_extra(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.utils.is_g2p_en_available", lambda: False)
    with pytest.raises(MissingPackage, match=r"needs the package g2p-en: pip install 'analogon\[fastspeech2\]'"):
        generate(whole, TEXT)
    monkeypatch.setattr("transformers.utils.is_g2p_en_available", lambda: True)
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(MissingPackage, match="needs the package g2p-en"):
        generate(whole, TEXT)


def test_without_nltks_data_it_says_what_to_put_where(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """g2p_en would begin a download while it is imported."""
    monkeypatch.setitem(sys.modules, "nltk", nltk_with(fastspeech2.CORPORA[1]))
    monkeypatch.delitem(sys.modules, "g2p_en")
    with pytest.raises(
        EncoderError,
        match=r"python -m nltk\.downloader cmudict averaged_perceptron_tagger_eng; or put corpora/cmudict\.zip, "
        r"taggers/averaged_perceptron_tagger_eng\.zip into /data/nltk_data",
    ):
        generate(whole, TEXT)
    monkeypatch.setitem(sys.modules, "nltk", nltk_with(fastspeech2.CORPORA[0], version="3.8.1"))
    with pytest.raises(EncoderError, match=r"python -m nltk\.downloader averaged_perceptron_tagger;"):
        generate(whole, TEXT)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_vocabulary_beside_it(whole: Any, folder: Path, tmp_path: Path) -> None:
    tiny_fastspeech2.save(tmp_path / "bare", tokenizer=False)
    bare = load(f"fastspeech2:{tmp_path / 'bare'}", tokenizer=str(folder / "with"))
    assert np.array_equal(made(bare), made(whole))
    with pytest.raises(ModelNotFound, match="espnet/fastspeech2_conformer"):  # where the published one has its
        load(f"fastspeech2:{tmp_path / 'bare'}")


def test_constructing_reads_no_weights(folder: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(folder / "with", tmp_path / "broken"))
    (where / "model.safetensors").write_bytes(b"nothing")
    generator = load(f"fastspeech2:{where}")
    with pytest.raises(EncoderError, match="FastSpeech2ConformerWithHifiGan cannot be loaded"):
        made(generator)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("config.json", None, ModelNotFound),
        ("config.json", "{", EncoderError),
        ("config.json", '{"model_type": "vits"}', EncoderError),
        ("config.json", '{"model_type": "fastspeech2_conformer_with_hifigan", "model_config": 3}', EncoderError),
        ("config.json", '{"model_type": "fastspeech2_conformer", "speaking_speed": 0}', EncoderError),
        ("config.json", '{"model_type": "fastspeech2_conformer", "speaker_embed_dim": 256}', EncoderError),
        ("vocab.json", "{", EncoderError),
        ("vocab.json", "{}", EncoderError),
        ("vocab.json", json.dumps({"<unk>": 0, "A": len(PHONEMES)}), EncoderError),
        ("model.safetensors", None, EncoderError),
    ],
)
def test_damaged_folders_are_told_in_one_line(
    folder: Path, tmp_path: Path, name: str, text: str | None, error: type[AnalogonError]
) -> None:
    where = Path(shutil.copytree(folder / "with", tmp_path / "damaged"))
    (where / name).unlink() if text is None else (where / name).write_text(text)
    with pytest.raises(error) as caught:
        made(load(f"fastspeech2:{where}"))
    assert "\n" not in str(caught.value) and str(where) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"model_type": "vits"}',
        '{"model_type": "hifigan", "model_in_dim": 80}',
        '{"model_type": "hifigan", "model_in_dim": 8, "sampling_rate": "fast"}',
        '{"model_type": "hifigan", "model_in_dim": 8, "upsample_rates": [0]}',
    ],
)
def test_damaged_vocoders(whole: Any, folder: Path, tmp_path: Path, text: str) -> None:
    where = Path(shutil.copytree(folder / "one", tmp_path / "damaged"))
    (where / "config.json").write_text(text)
    with pytest.raises(EncoderError) as caught:
        load(whole.name, vocoder=str(where))
    assert "\n" not in str(caught.value) and str(where) in str(caught.value)


def test_a_missing_weight_is_told(folder: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(folder / "with", tmp_path / "lacking"))
    weights = load_file(where / "model.safetensors")
    del weights["vocoder.conv_pre.weight"]
    save_file(weights, where / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"the checkpoint has no vocoder\.conv_pre\.weight"):
        made(load(f"fastspeech2:{where}"))
