"""The functions that transformers calls, on tensors of shape (…, channels, height, width)."""

import numpy as np
import torch

from torchvision.transforms import InterpolationMode

__all__ = ["InterpolationMode", "grayscale_to_rgb", "normalize", "pil_to_tensor", "resize"]


def pil_to_tensor(image):
    """The picture as uint8 of shape (channels, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def grayscale_to_rgb(image):
    """Pictures of three channels stay as they are."""
    return image if image.shape[-3] == 3 else image.expand(*image.shape[:-3], 3, *image.shape[-2:])


def resize(image, size, interpolation=InterpolationMode.BILINEAR, antialias=True):
    """The picture in another size; in its own size, itself."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    flat = image.reshape(-1, *image.shape[-3:]).float()
    found = torch.nn.functional.interpolate(
        flat, size=tuple(size), mode=interpolation.value, antialias=antialias
    )
    found = found.reshape(*image.shape[:-2], *size)
    return found.round().clamp(0, 255).to(torch.uint8) if image.dtype == torch.uint8 else found


def normalize(image, mean, std, inplace=False):
    """(image − mean) ÷ std, by channel."""
    shape = (-1, 1, 1)
    mean, std = (torch.as_tensor(values, dtype=image.dtype).view(shape) for values in (mean, std))
    return (image - mean) / std


from torchvision import absent as __getattr__  # noqa: E402, F401
