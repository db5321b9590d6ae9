"""Which encoder hears who is speaking: 400 spoken digits of four speakers (the Free Spoken Digit Dataset).

    python benchmarks/voices.py ../shared

``speaker`` beside YAMNet's embedding, which was trained to name sounds, not people. Nearest neighbour: how often the
most similar clip among those of other digits is of the same speaker, so that saying the same word cannot help. Equal
error rate: over all pairs of clips, the rate at which as many pairs of two speakers pass a threshold as pairs of one
speaker fail it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import embed
from embed import AudioInput, Media, decode
from embed.space import unit

YAMNET_RATE = 16000
YAMNET_WINDOW = 15600
YAMNET_EMBEDDING = 115  # the tensor before the classifier, int8


@dataclass(frozen=True)
class Clips:
    """The files, who speaks in each, and which digit."""

    files: list[Path]
    speakers: npt.NDArray[np.str_]
    digits: npt.NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path) -> Clips:
        files = sorted(folder.glob("*.wav"))
        names = np.array([file.stem.split("_") for file in files])
        return cls(files, names[:, 1], names[:, 0])


def speaker_vectors(files: list[Path]) -> npt.NDArray[np.float32]:
    return embed.encode(embed.load("speaker"), [Media.from_path(file) for file in files]).array


def yamnet_vectors(files: list[Path], model: Path) -> npt.NDArray[np.float32]:
    """The mean of YAMNet's embeddings of a clip's frames (0.975 s, half overlapping, zeros after the end)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(model),
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    scale, zero = next(d["quantization"] for d in interpreter.get_tensor_details() if d["index"] == YAMNET_EMBEDDING)
    rows = []
    for file in files:
        (part,) = decode.parts(Media.from_path(file), audio=AudioInput(YAMNET_RATE, None))
        assert part.array is not None
        starts = range(0, max(1, len(part.array) - YAMNET_WINDOW // 2), YAMNET_WINDOW // 2)
        frames = []
        for start in starts:
            frame = part.array[start : start + YAMNET_WINDOW]
            interpreter.set_tensor(given, np.pad(frame, (0, YAMNET_WINDOW - len(frame))))
            interpreter.invoke()
            frames.append((interpreter.get_tensor(YAMNET_EMBEDDING).reshape(-1).astype(np.float32) - zero) * scale)
        rows.append(np.mean(frames, axis=0))
    return unit(np.stack(rows))


def neighbour_accuracy(cosines: npt.NDArray[np.float32], clips: Clips) -> float:
    """How often the best clip of another digit is of the same speaker."""
    others = np.where(clips.digits[:, None] == clips.digits, -np.inf, cosines)
    return float((clips.speakers[others.argmax(1)] == clips.speakers).mean())


def equal_error_rate(cosines: npt.NDArray[np.float32], clips: Clips) -> float:
    """Where the rates of accepted strangers and refused owners cross, over all pairs of two clips."""
    pairs = np.triu_indices(len(cosines), 1)
    same = (clips.speakers[:, None] == clips.speakers)[pairs][np.argsort(-cosines[pairs], kind="stable")]
    refused = 1 - np.cumsum(same) / same.sum()
    accepted = np.cumsum(~same) / (~same).sum()
    crossing = int(np.abs(refused - accepted).argmin())
    return float(refused[crossing] + accepted[crossing]) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="folder with data/fsdd and models/yamnet")
    shared = parser.parse_args().shared
    clips = Clips.read(shared / "data/fsdd")
    elsewhere = clips.digits[:, None] != clips.digits
    chance = ((clips.speakers[:, None] == clips.speakers) & elsewhere).sum() / elsewhere.sum()
    print(f"{'encoder':10} {'n':>4} {'neighbour':>10} {'EER':>7}")
    for name, vectors in (
        ("speaker", speaker_vectors(clips.files)),
        ("YAMNet", yamnet_vectors(clips.files, shared / "models/yamnet/yamnet.tflite")),
    ):
        cosines = vectors @ vectors.T
        accuracy, error = neighbour_accuracy(cosines, clips), equal_error_rate(cosines, clips)
        print(f"{name:10} {len(vectors):4} {accuracy:10.3f} {error:7.1%}")
    print(f"{'chance':10} {'':4} {chance:10.3f} {0.5:7.1%}")


if __name__ == "__main__":
    main()
