"""Tiny pipelines of diffusers' real classes with seeded random weights, as ``save_pretrained`` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.embed.encoders.tiny import VOCABULARY, byte_level_bpe, clip_bpe, scatter

RATE = 800
OPTIONS = {"steps": 2}
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}
T5: dict[str, Any] = {
    "vocab_size": len(VOCABULARY) + 4,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
}
CLIP: dict[str, Any] = {
    "vocab_size": 700,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "projection_dim": 16,
}
LAYERS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
BETA: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
}
UNET: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}


def t5_tokenizer(model_max_length: int) -> Any:
    """Whole words of ``VOCABULARY``, and </s> at the end."""
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *("▁" + word for word in VOCABULARY)]
    vocabulary = [(piece, -float(i)) for i, piece in enumerate(pieces)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=model_max_length)


def vae(channels: int, **changes: Any) -> Any:
    from diffusers import AutoencoderKL

    return scatter(
        AutoencoderKL(
            in_channels=channels,
            out_channels=channels,
            block_out_channels=[8, 8],
            norm_num_groups=4,
            latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            **changes,
        )
    )


def clip_text(projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    return scatter((CLIPTextModelWithProjection if projected else CLIPTextModel)(CLIPTextConfig(**CLIP)))


def audioldm2() -> Any:
    """CLAP and T5 read the text, GPT-2 writes on, a U-Net denoises mel spectra, HiFi-GAN sounds them at 800 Hz."""
    from diffusers import AudioLDM2Pipeline, AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel, DDIMScheduler
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        GPT2Config,
        GPT2LMHeadModel,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        T5Config,
        T5EncoderModel,
    )

    text = {
        "vocab_size": 700,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": 40,
        "projection_dim": 16,
    }
    audio = {
        "spec_size": 64,
        "window_size": 4,
        "num_mel_bins": 64,
        "intermediate_size": 24,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "hidden_size": 192,
        "patch_size": 2,
        "patch_stride": 2,
        "patch_embed_input_channels": 4,
        "projection_dim": 16,
    }
    gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=16, n_head=2, n_layer=2, vocab_size=64, n_positions=99, **ENDS))
    gpt2.config.max_new_tokens = 8
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=8,
        sampling_rate=RATE,
        upsample_initial_channel=16,
        upsample_rates=[2, 2],
        upsample_kernel_sizes=[4, 4],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        normalize_before=False,
    )
    widths = ([None, 16, 16], [None, 16, 16])
    projection = AudioLDM2ProjectionModel(text_encoder_dim=16, text_encoder_1_dim=16, langauge_model_dim=16)
    return AudioLDM2Pipeline(
        unet=scatter(AudioLDM2UNet2DConditionModel(**UNET, cross_attention_dim=widths)),
        scheduler=DDIMScheduler(**BETA, set_alpha_to_one=False),
        vae=vae(1),
        text_encoder=scatter(ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=16))),
        text_encoder_2=scatter(T5EncoderModel(T5Config(**T5))),
        tokenizer=byte_level_bpe(model_max_length=24),
        tokenizer_2=t5_tokenizer(24),
        feature_extractor=ClapFeatureExtractor(feature_size=64, hop_length=7900),
        language_model=scatter(gpt2),
        projection_model=scatter(projection),
        vocoder=scatter(SpeechT5HifiGan(vocoder)),
    )


def stable_audio() -> Any:
    """T5 reads the text, a diffusion transformer denoises 64 latents of 16 samples in two channels: 1.28 s at most."""
    from diffusers import (
        AutoencoderOobleck,
        CosineDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )
    from transformers import T5Config, T5EncoderModel

    codec = AutoencoderOobleck(
        encoder_hidden_size=8,  # mean and deviation of 4 latents
        downsampling_ratios=[4, 4],
        decoder_channels=4,
        decoder_input_channels=4,
        audio_channels=2,
        channel_multiples=[2, 4],
        sampling_rate=RATE,
    )
    transformer = StableAudioDiTModel(
        sample_size=64,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        num_key_value_attention_heads=2,
        out_channels=4,
        cross_attention_dim=8,
        time_proj_dim=8,
        global_states_input_dim=16,
        cross_attention_input_dim=8,
    )
    projection = StableAudioProjectionModel(text_encoder_dim=16, conditioning_dim=8, min_value=0, max_value=512)
    return StableAudioPipeline(
        vae=scatter(codec),
        text_encoder=scatter(T5EncoderModel(T5Config(**T5))),
        projection_model=scatter(projection),
        tokenizer=t5_tokenizer(24),
        transformer=scatter(transformer),
        scheduler=CosineDPMSolverMultistepScheduler(
            solver_order=2, prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
        ),
    )


def stable_diffusion(*, checked: bool = False) -> Any:
    """CLIP reads 16 tokens, a U-Net denoises latents of 32 by 32 pixels; ``checked`` adds a safety checker."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    checker, extractor = None, None
    if checked:
        seeing = {"image_size": 32, "patch_size": 8, **{k: v for k, v in CLIP.items() if k in LAYERS}}
        checker = scatter(StableDiffusionSafetyChecker(CLIPConfig(vision_config=seeing, projection_dim=16)))
        extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return StableDiffusionPipeline(
        vae=vae(3),
        text_encoder=clip_text(),
        tokenizer=clip_bpe(16),
        unet=scatter(UNet2DConditionModel(**UNET, cross_attention_dim=16)),
        scheduler=DDIMScheduler(**BETA, set_alpha_to_one=False, steps_offset=1),
        safety_checker=checker,
        feature_extractor=extractor,
        requires_safety_checker=checked,
    )


def stable_diffusion_xl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    added["projection_class_embeddings_input_dim"] = 6 * 8 + 16
    return StableDiffusionXLPipeline(
        vae=vae(3),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(projected=True),
        tokenizer=clip_bpe(16),
        tokenizer_2=clip_bpe(16),
        unet=scatter(UNet2DConditionModel(**UNET, cross_attention_dim=32, **added)),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )


def latent_consistency() -> Any:
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler, UNet2DConditionModel

    return LatentConsistencyModelPipeline(
        vae=vae(3),
        text_encoder=clip_text(),
        tokenizer=clip_bpe(16),
        unet=scatter(UNet2DConditionModel(**UNET, cross_attention_dim=16, time_cond_proj_dim=8)),
        scheduler=LCMScheduler(**BETA, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_3() -> Any:
    """Two CLIPs and T5 read the text, a diffusion transformer denoises."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import T5Config, T5EncoderModel

    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,
        out_channels=4,
    )
    return StableDiffusion3Pipeline(
        transformer=scatter(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(3, shift_factor=0.06),
        text_encoder=clip_text(projected=True),
        tokenizer=clip_bpe(16),
        text_encoder_2=clip_text(projected=True),
        tokenizer_2=clip_bpe(16),
        text_encoder_3=scatter(T5EncoderModel(T5Config(**T5 | {"d_model": 32}))),
        tokenizer_3=t5_tokenizer(512),
    )


def flux() -> Any:
    """CLIP's summary and T5's tokens of the text, a diffusion transformer on 2 by 2 latents at once."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    return FluxPipeline(
        transformer=scatter(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(3, shift_factor=0.06),
        text_encoder=clip_text(),
        tokenizer=clip_bpe(16),
        text_encoder_2=scatter(T5EncoderModel(T5Config(**T5))),
        tokenizer_2=t5_tokenizer(512),
    )


def write(pipeline: Any, folder: Path) -> str:
    """Save a pipeline; its name."""
    pipeline.save_pretrained(folder)
    return f"diffusers:{folder}"


def save(folder: Path) -> str:
    return write(audioldm2(), folder)
