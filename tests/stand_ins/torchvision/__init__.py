"""Stands in for torchvision, whose build for CPUs is on no package registry: the five functions that transformers calls here.

PyPI's build is for CUDA, and breaks transformers beside torch's build for CPUs. Sizes and numbers are those of the real
functions; `resize` rounds as they do, within one step of 255.
"""

__version__ = "0.28.0"


def absent(name: str):
    """A name that transformers imports and does not call here."""
    if name.startswith("__"):
        raise AttributeError(name)

    def call(*_, **__):
        raise NotImplementedError(f"torchvision.{name} is not stood in for")

    return call


__getattr__ = absent
