"""torchvision.transforms.functional."""

from torchvision.transforms.v2.functional import pil_to_tensor

__all__ = ["pil_to_tensor"]


from torchvision import absent as __getattr__  # noqa: F401
