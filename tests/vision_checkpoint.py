"""Random checkpoints of the family qwen3-vl-reranker, in the files that the real one has. The small one has under 3 MB.

    python -m vision_checkpoint FOLDER

They judge nothing. Weights of the small one are large enough that logits differ, so that they show whether pictures reach the model.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byte_vocabulary import write_tokenizer
from tokenizers import Tokenizer

VISION_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
PATCH, MERGE, TEMPORAL = 16, 2, 2  # those of every Qwen3-VL

SMALL: dict[str, Any] = {
    "text": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 8192,
    },
    "sections": [6, 5, 5],
    "vision": {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [0, 1],
    },
    "dtype": "float32",
    "scale": (3, 5),  # of the weights that read pictures, and of the others
}
# config.json of Qwen3-VL-Reranker-2B. Its tokenizer is the small one: speed depends on the number of tokens alone.
SHAPE_2B: dict[str, Any] = {
    "text": {
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 32_768,
    },
    "sections": [24, 20, 20],
    "vision": {
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [5, 11, 17],
    },
    "dtype": "bfloat16",
    "scale": (1, 1),
}


def write_vision_tokenizer(folder: Path) -> dict[str, int]:
    """tokenizer.json and tokenizer_config.json with the family's control tokens; gives their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(VISION_TOKENS)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "Qwen3VLProcessor",
        "pad_token": "<|endoftext|>",
        "model_max_length": 32768,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return {name: tokenizer.token_to_id(name) for name in VISION_TOKENS}


def write_vision_checkpoint(
    folder: Path, *, shape: Mapping[str, Any] = SMALL, seed: int = 0, device: str = "cpu"
) -> None:
    """A checkpoint of this shape; needs torch and transformers, and no torchvision. Weights are drawn on the device."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = write_vision_tokenizer(folder)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size(with_added_tokens=True)
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": size,
            "tie_word_embeddings": True,
            **shape["text"],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5_000_000,
                "mrope_section": shape["sections"],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            **shape["vision"],
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": TEMPORAL,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        make: Any = Qwen3VLForConditionalGeneration
        model = make(config).to(getattr(torch, shape["dtype"]))
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(shape["scale"][0 if "visual" in name else 1])
    model.save_pretrained(folder)
    shared = {
        "patch_size": PATCH,
        "temporal_patch_size": TEMPORAL,
        "merge_size": MERGE,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "processor_class": "Qwen3VLProcessor",
    }
    pictures = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "size": {"longest_edge": 16_777_216, "shortest_edge": 65_536},
    }
    clips = {
        "video_processor_type": "Qwen3VLVideoProcessor",
        "size": {"longest_edge": 25_165_824, "shortest_edge": 4_096},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**shared, **pictures}))
    (folder / "video_preprocessor_config.json").write_text(json.dumps({**shared, **clips}))


def official(instruction: str, query: str, document: str, *, pictures: int = 0, clips: int = 0) -> str:
    """The prompt as the model's own template writes it."""
    media = "".join(
        f"<|vision_start|>{pad}<|vision_end|>"
        for pad in ["<|video_pad|>"] * clips + ["<|image_pad|>"] * pictures
    )
    return (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        f"<Instruct>: {instruction}<Query>:{query}\n<Document>:{media}{document}<|im_end|>\n<|im_start|>assistant\n"
    )


if __name__ == "__main__":
    write_vision_checkpoint(Path(sys.argv[1]))
