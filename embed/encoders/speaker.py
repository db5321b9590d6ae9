"""speaker: who is speaking, by Resemblyzer's GE2E network (audio).

Generalized end-to-end loss for speaker verification, Wan et al. 2018 (arXiv:1710.10467), in Resemblyzer's edition:
a voice in 256 components, none below 0 since a ReLU ends the network, so that a difference of two vectors leaves the
network's range. The weights come with the package ``resemblyzer`` (``speaker``) or from a file (``speaker:./file.pt``);
neither the package nor its dependencies are imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from embed import hub
from embed.encoder import AudioInput, Encoder
from embed.errors import EncoderError, MissingPackage, ModelNotFound, one_line
from embed.media import Media
from embed.space import Space
from embed.tower import AUTO, Running, Tower

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULT_MODEL", "SpeakerEncoder", "load", "louder", "mel_filters", "mel_spectrogram", "voiced"]

DEFAULT_MODEL: Final = "resemblyzer"

RATE: Final = 16000
LOUDNESS: Final = -30.0  # dBFS
MEL_BINS: Final = 40
FRAME: Final = 400  # samples: 25 ms
STEP: Final = 160  # samples: 10 ms
PARTIAL: Final = 160  # frames of one partial utterance: 1.6 s
PARTIALS_A_SECOND: Final = 1.3
COVERAGE: Final = 0.75  # of the last partial utterance, or it is left out
HIDDEN: Final = 256
VAD_WINDOW: Final = 480  # samples: 30 ms
VAD_MODE: Final = 3
VAD_SMOOTHING: Final = 8  # windows that vote on each
VAD_SILENCE: Final = 6  # windows of silence that may stay within speech
CHUNK: Final = 256  # partial utterances that go through the network at once
UNUSED: Final = frozenset({"similarity_weight", "similarity_bias"})  # of the training loss

Floats = npt.NDArray[np.float32]


class SpeakerEncoder(Encoder):
    """A recording's voice: the normalised mean of the embeddings of its partial utterances.

    The pipeline is the published one: loudness raised to -30 dBFS (never lowered), silences trimmed by WebRTC's
    voice-activity detector, 40 mel bins, partial utterances of 1.6 s that overlap by half. Where that would come out
    empty (a clip shorter than 30 ms, or one in which the detector hears no voice) the untrimmed recording is used,
    and silence is not made louder, so that every recording has a vector.
    """

    modalities = frozenset({"audio"})

    def __init__(
        self, weights: Path, name: str, window: float | None, hop: float | None, running: Running = AUTO
    ) -> None:
        self.weights = weights
        self.audio = AudioInput(RATE, window, hop)
        self.towers = {"audio": Tower("audio", self._build, where=weights, running=running, output=_voice)}
        preprocessing = (
            f"audio {self.audio}; loudness at least {LOUDNESS:g} dBFS; webrtcvad {VAD_MODE} trim, else untrimmed; "
            f"{MEL_BINS} mel bins; partials of {PARTIAL} frames, {PARTIALS_A_SECOND} a second, coverage {COVERAGE}"
        )
        self.space = Space(name, hub.weights_hash(weights), preprocessing, HIDDEN)

    def prepare(self, media: Media) -> Media:
        """Samples to the mel spectrograms of the partial utterances, float32 ``(n, 160, 40)``."""
        assert media.array is not None
        wave = louder(media.array)
        speech = voiced(wave)
        return media.but(array=_partials(speech if len(speech) else wave))

    def encode_batch(self, batch: Sequence[Media]) -> npt.NDArray[np.floating[Any]]:
        spectrograms = [media.array for media in batch if media.array is not None]
        every = np.concatenate(spectrograms)
        vectors = np.concatenate([self.towers["audio"](mels=part) for part in _chunks(every)])
        ends = np.cumsum([len(part) for part in spectrograms])
        return np.stack([part.mean(0) for part in np.split(vectors, ends[:-1])])

    def _build(self) -> torch.nn.ModuleDict:
        import torch

        lstm = torch.nn.LSTM(MEL_BINS, HIDDEN, num_layers=3, batch_first=True)
        layers = torch.nn.ModuleDict({"lstm": lstm, "linear": torch.nn.Linear(HIDDEN, HIDDEN)})
        try:
            checkpoint = torch.load(self.weights, map_location="cpu", weights_only=True)
        except Exception as error:
            text = one_line(error)
            raise EncoderError(f"{self.weights}: not a checkpoint of plain weights: {text}") from error
        state = checkpoint.get("model_state") if isinstance(checkpoint, Mapping) else None
        if not isinstance(state, Mapping):
            raise EncoderError(f"{self.weights}: holds no model_state: is it Resemblyzer's pretrained.pt?")
        try:
            layers.load_state_dict({key: value for key, value in state.items() if key not in UNUSED})
        except RuntimeError as error:
            text = one_line(error)
            raise EncoderError(f"{self.weights}: does not fit the GE2E network: {text}") from error
        return layers.eval().requires_grad_(False)


def load(
    model: str = DEFAULT_MODEL,
    *,
    window: float | None = 30.0,
    hop: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> SpeakerEncoder:
    """``speaker`` (the weights of the package resemblyzer) or ``speaker:./pretrained.pt``.

    Recordings of up to ``window`` seconds are encoded as published; a longer one is cut into windows every ``hop``
    seconds, since long recordings hold several voices; ``window=None`` keeps it whole.
    ``device`` and ``precision``: see ``embed.tower.Running``.
    """
    if model == DEFAULT_MODEL:
        found = importlib.util.find_spec("resemblyzer")
        if found is None or not found.submodule_search_locations:
            raise MissingPackage("resemblyzer", "speaker", "speaker without a file of weights", alone=True)
        weights = Path(found.submodule_search_locations[0]) / "pretrained.pt"
    else:
        weights = Path(model).expanduser()
    if not weights.is_file():
        raise ModelNotFound(f"{weights}: no such file; speaker wants Resemblyzer's pretrained.pt (speaker:./file.pt)")
    try:
        import webrtcvad  # noqa: F401
    except ImportError:  # absent, or the edition that needs pkg_resources
        raise MissingPackage("webrtcvad-wheels", "speaker", "speaker") from None
    return SpeakerEncoder(weights, f"speaker:{model}", window, hop, Running(device, precision))


def _voice(layers: Any, inputs: dict[str, Any]) -> torch.Tensor:
    import torch

    mels = inputs["mels"]
    with torch.autocast(mels.device.type, enabled=False):  # a state of 160 steps gathers what each one rounds away
        _, (hidden, _) = layers["lstm"](mels)
    return torch.nn.functional.normalize(torch.relu(layers["linear"](hidden[-1])).float(), dim=1)


def louder(wave: Floats) -> Floats:
    """Float32 samples scaled so that their RMS is at least -30 dBFS; silence stays as it is."""
    rms = np.sqrt(np.mean(wave**2)) if len(wave) else np.float32(0)
    if not rms > 0:
        return wave
    change = np.float32(LOUDNESS) - 20 * np.log10(rms)
    return wave if change < 0 else (wave * 10 ** (change / 20)).astype(np.float32)


def voiced(wave: Floats) -> Floats:
    """The stretches of 16 kHz samples in which WebRTC's detector hears a voice, and short silences between them.

    Each 30 ms window is kept by the majority of eight around it, and three more on each side. What does not fill a
    last window is left out. Empty where no window is kept.
    """
    import webrtcvad

    windows = wave[: len(wave) // VAD_WINDOW * VAD_WINDOW].reshape(-1, VAD_WINDOW)
    if not len(windows):
        return wave[:0]
    pcm = np.round(np.clip(windows, -1, 1) * 32767).astype("<i2")
    detector = webrtcvad.Vad(VAD_MODE)  # it adapts as it hears: one for each recording
    flags = [detector.is_speech(window.tobytes(), RATE) for window in pcm]
    around = np.pad(np.array(flags, dtype=np.int64), ((VAD_SMOOTHING - 1) // 2, VAD_SMOOTHING // 2))
    votes = np.convolve(around, np.ones(VAD_SMOOTHING, np.int64), "valid")
    wider = np.pad((votes > VAD_SMOOTHING // 2).astype(np.int64), VAD_SILENCE // 2)
    keep = np.convolve(wider, np.ones(VAD_SILENCE + 1, np.int64), "valid") > 0
    return windows[keep].reshape(-1)


def mel_filters() -> Floats:
    """Slaney's mel filterbank, float32 ``(40, 201)``: triangles of equal area from 0 Hz to 8 kHz.

    Linear below 1 kHz, logarithmic above (Auditory Toolbox, Slaney 1998), as librosa makes it by default.
    """
    knee, linear, step = 1000.0, 3 / 200, np.log(6.4) / 27
    top = knee * linear + np.log(RATE / 2 / knee) / step
    mels = np.linspace(0, top, MEL_BINS + 2)
    edges = np.where(mels < knee * linear, mels / linear, knee * np.exp(step * (mels - knee * linear)))
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters: Floats = (np.maximum(0, triangles) * 2 / (high - low)).astype(np.float32)
    return filters


def mel_spectrogram(wave: Floats) -> Floats:
    """The mel power spectrogram (no logarithm) of 16 kHz samples, float32 ``(1 + n // 160, 40)``."""
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)
    padded = np.pad(wave, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    mel: Floats = (power @ mel_filters().T).astype(np.float32)
    return mel


def _partials(wave: Floats) -> Floats:
    """Mel spectrograms of the partial utterances, float32 ``(n, 160, 40)``; at least one, padded with silence."""
    frames = -(-(len(wave) + 1) // STEP)
    step = round(RATE / PARTIALS_A_SECOND / STEP)
    starts = list(range(0, max(1, frames - PARTIAL + step + 1), step))
    if len(starts) > 1 and (len(wave) - starts[-1] * STEP) / (PARTIAL * STEP) < COVERAGE:
        starts.pop()
    mel = mel_spectrogram(np.pad(wave, (0, max(0, (starts[-1] + PARTIAL) * STEP - len(wave)))))
    return np.stack([mel[start : start + PARTIAL] for start in starts])


def _chunks(partials: Floats) -> Iterator[Floats]:
    for start in range(0, len(partials), CHUNK):
        yield partials[start : start + CHUNK]
