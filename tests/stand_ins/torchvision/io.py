"""Nothing of this is called."""

from enum import Enum


class ImageReadMode(Enum):
    """Kinds of pictures."""

    RGB = "RGB"


decode_image = None


from torchvision import absent as __getattr__  # noqa: E402, F401
