"""Tiny checkpoints of ``towers``, each of a class of its own: here MetaCLIP 2, with more for other classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.embed.encoders import tiny

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PIXELS = {"image_size": 32, "patch_size": 8}


def pictures() -> Any:
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,-'")
    words = list(dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *tiny.VOCABULARY]))
    return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=48)


def save(model: Any, folder: Path, tokenizer: Any, images: Any, gain: float = 1.5) -> str:
    """``gain``: towers that normalise after each layer, as BERT's do, tell texts apart only with wide weights."""
    tiny.scatter(model, gain=gain).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    return f"towers:{folder}"


def metaclip_2(folder: Path) -> str:
    from transformers import MetaClip2Config, MetaClip2Model

    tokenizer = tiny.clip_bpe()
    numbers = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = MetaClip2Config(
        text_config={"vocab_size": len(tokenizer), **numbers, **SIZES},
        vision_config={**PIXELS, **SIZES},
        projection_dim=24,
    )
    return save(MetaClip2Model(config), folder, tokenizer, pictures())


def aimv2(folder: Path) -> str:
    from transformers import Aimv2Config, Aimv2Model

    tokenizer = tiny.clip_bpe()
    config = Aimv2Config(
        text_config={"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, **SIZES},
        vision_config={**PIXELS, **SIZES},
        projection_dim=20,
    )
    return save(Aimv2Model(config), folder, tokenizer, pictures())


def align(folder: Path) -> str:
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil

    tokenizer = bert_tokenizer()
    config = AlignConfig(
        text_config={"vocab_size": len(tokenizer), **SIZES},
        vision_config={
            "image_size": 32,
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "hidden_dim": 24,
            "kernel_sizes": [3, 3],
            "in_channels": [32, 8],
            "out_channels": [8, 24],
            "strides": [1, 2],
            "num_block_repeats": [1, 1],
            "expand_ratios": [1, 2],
            "depthwise_padding": [],
        },
        projection_dim=24,
    )
    model = AlignModel(config)
    images = EfficientNetImageProcessorPil(size={"height": 32, "width": 32})
    return save(model, folder, tokenizer, images, gain=4.0)


def altclip(folder: Path) -> str:
    from transformers import AltCLIPConfig, AltCLIPModel

    tokenizer = tiny.byte_level_bpe(model_max_length=512)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 66, "pad_token_id": 1, "project_dim": 16, **SIZES}
    config = AltCLIPConfig(text_config=text, vision_config={**PIXELS, **SIZES}, projection_dim=24)
    return save(AltCLIPModel(config), folder, tokenizer, pictures(), gain=4.0)


def chinese_clip(folder: Path) -> str:
    from transformers import ChineseCLIPConfig, ChineseCLIPImageProcessorPil, ChineseCLIPModel

    tokenizer = bert_tokenizer()
    config = ChineseCLIPConfig(
        text_config={"vocab_size": len(tokenizer), **SIZES}, vision_config={**PIXELS, **SIZES}, projection_dim=24
    )
    images = ChineseCLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return save(ChineseCLIPModel(config), folder, tokenizer, images, gain=4.0)


def x_clip(folder: Path) -> str:
    from transformers import XCLIPConfig, XCLIPModel

    tokenizer = tiny.clip_bpe()
    numbers = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    vision = {"num_frames": 4, "mit_hidden_size": 24, "mit_intermediate_size": 32, "mit_num_attention_heads": 2}
    config = XCLIPConfig(
        text_config={"vocab_size": len(tokenizer), **numbers, **SIZES},
        vision_config={**PIXELS, **SIZES, **vision, "mit_num_hidden_layers": 1},
        projection_dim=24,
        prompt_num_attention_heads=2,
    )
    return save(XCLIPModel(config), folder, tokenizer, pictures())


def tipsv2(folder: Path) -> str:
    """Its image processor is only written for torchvision: the file is all that is saved of it."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Tipsv2Config, Tipsv2Model, Tipsv2Tokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,-'", *sorted(ByteLevel.alphabet())]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(["<pad>", "<unk>", "▁", *letters]))}
    merges = tiny.whole_words(vocabulary, start="▁")
    tokenizer = Tipsv2Tokenizer(vocab=vocabulary, merges=merges)
    config = Tipsv2Config(
        text_config={"vocab_size": len(vocabulary), **SIZES}, vision_config={**PIXELS, **SIZES, "mlp_ratio": 2}
    )
    name = save(Tipsv2Model(config), folder, tokenizer, pictures())
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "Tipsv2ImageProcessor",
                "do_resize": True,
                "size": {"height": 32, "width": 32},
                "resample": 2,
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": False,
                "do_convert_rgb": True,
            }
        )
    )
    return name


def build(folder: Path) -> str:
    return metaclip_2(folder)
