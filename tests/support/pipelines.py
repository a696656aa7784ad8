"""Tiny upscaling pipelines of diffusers with random weights, saved as their projects save them."""

import json
import warnings
from pathlib import Path

import torch


def save_ldm(folder: Path) -> Path:
    """Latent diffusion, x4, no text."""
    import diffusers

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers.LDMSuperResolutionPipeline(
            vqvae=diffusers.VQModel(
                block_out_channels=[8, 8, 16],
                down_block_types=["DownEncoderBlock2D"] * 3,
                up_block_types=["UpDecoderBlock2D"] * 3,
                norm_num_groups=4,
                latent_channels=3,
            ),
            unet=diffusers.UNet2DModel(
                in_channels=6,
                out_channels=3,
                block_out_channels=(16, 32),
                layers_per_block=1,
                norm_num_groups=8,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            ),
            scheduler=diffusers.DDIMScheduler(),
        ).save_pretrained(folder)
    return folder


def save_guided(folder: Path) -> Path:
    """Stable Diffusion's x4 upscaler, with a text encoder."""
    import diffusers

    torch.manual_seed(0)
    blocks = ("DownBlock2D", "CrossAttnDownBlock2D")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers.StableDiffusionUpscalePipeline(
            vae=diffusers.AutoencoderKL(
                block_out_channels=[8, 8, 16],
                down_block_types=["DownEncoderBlock2D"] * 3,
                up_block_types=["UpDecoderBlock2D"] * 3,
                norm_num_groups=4,
                latent_channels=4,
                scaling_factor=0.08333,
            ),
            unet=diffusers.UNet2DConditionModel(
                in_channels=7,
                out_channels=4,
                block_out_channels=(16, 32),
                layers_per_block=1,
                norm_num_groups=8,
                attention_head_dim=8,
                cross_attention_dim=32,
                num_class_embeds=100,
                down_block_types=blocks,
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            ),
            scheduler=diffusers.DDIMScheduler(prediction_type="v_prediction"),
            low_res_scheduler=diffusers.DDPMScheduler(),
            **_text(),
        ).save_pretrained(folder)
    return folder


def save_latent(folder: Path) -> Path:
    """Stable Diffusion's x2 latent upscaler."""
    import diffusers

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers.StableDiffusionLatentUpscalePipeline(
            vae=diffusers.AutoencoderKL(
                block_out_channels=[8, 16],
                down_block_types=["DownEncoderBlock2D"] * 2,
                up_block_types=["UpDecoderBlock2D"] * 2,
                norm_num_groups=4,
                latent_channels=4,
            ),
            unet=diffusers.UNet2DConditionModel(
                act_fn="gelu",
                attention_head_dim=8,
                norm_num_groups=None,
                block_out_channels=[32, 32, 64, 64],
                time_cond_proj_dim=160,
                conv_in_kernel=1,
                conv_out_kernel=1,
                cross_attention_dim=32,
                down_block_types=("KDownBlock2D", *["KCrossAttnDownBlock2D"] * 3),
                in_channels=8,
                mid_block_type=None,
                only_cross_attention=False,
                out_channels=5,
                resnet_time_scale_shift="scale_shift",
                time_embedding_type="fourier",
                timestep_post_act="gelu",
                up_block_types=(*["KCrossAttnUpBlock2D"] * 3, "KUpBlock2D"),
            ),
            scheduler=diffusers.EulerDiscreteScheduler(prediction_type="sample"),
            **_text(),
        ).save_pretrained(folder)
    return folder


def _text() -> dict[str, object]:
    import transformers

    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    config = transformers.CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=3,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return {
        "text_encoder": transformers.CLIPTextModel(config),
        "tokenizer": transformers.CLIPTokenizer(vocab=words, merges=[], model_max_length=77),
    }


def change(folder: Path, file: str, **values: object) -> None:
    """Change keys of a JSON file in a pipeline's folder."""
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
