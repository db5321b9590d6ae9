"""A GE2E checkpoint with random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.embed.encoders import tiny


def build(folder: Path) -> str:
    """Write ``pretrained.pt`` into ``folder`` as Resemblyzer saves it; returns the encoder's name."""
    torch.manual_seed(0)
    lstm = tiny.scatter(torch.nn.LSTM(40, 256, num_layers=3, batch_first=True))
    linear = tiny.scatter(torch.nn.Linear(256, 256), seed=1)
    for layer in range(3):
        getattr(lstm, f"bias_ih_l{layer}").data[256:512] += 4  # forget gates: the padding must not wash a clip away
    lstm.weight_ih_l0.data *= 100  # power spectra of quiet speech are small numbers
    state = {f"lstm.{key}": value for key, value in lstm.state_dict().items()}
    state |= {f"linear.{key}": value for key, value in linear.state_dict().items()}
    state |= {"similarity_weight": torch.tensor([10.0]), "similarity_bias": torch.tensor([-5.0])}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"step": 1, "model_state": state}, folder / "pretrained.pt")
    return f"speaker:{folder / 'pretrained.pt'}"
