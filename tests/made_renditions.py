"""Renditions for tests of models that read pictures: made from a seed, kept in a dict that stands for the store."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from rerank_core.errors import CorruptError


class Renditions:
    """Pictures and clips by their paths, as the store has them."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self.files: dict[str, bytes] = {}
        self.reads = 0

    def picture(self, width: int, height: int) -> str:
        """The path of a new JPEG."""
        content = io.BytesIO()
        self._image(width, height).save(content, "JPEG")
        return self.add(content.getvalue(), "jpg")

    def clip(self, width: int, height: int, frames: int) -> str:
        """The path of a new WebP, a frame each 1.5 seconds."""
        first, *others = [self._image(width, height) for _ in range(frames)]
        content = io.BytesIO()
        first.save(content, "WEBP", save_all=True, append_images=others, duration=1500)
        return self.add(content.getvalue(), "webp")

    def add(self, content: bytes, ending: str) -> str:
        """The path of a file with this content."""
        digest = hashlib.sha256(content).hexdigest()
        path = f"shared.media/{digest[:2]}/{digest}.{ending}"
        self.files[path] = content
        return path

    def write(self, folder: Path) -> None:
        """Put the files into a folder, for other processes."""
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    def read(self, path: str) -> bytes:
        """As the store reads. Raises CorruptError."""
        self.reads += 1
        if path not in self.files:
            raise CorruptError(f"artifact {path} is gone")
        return self.files[path]

    def _image(self, width: int, height: int) -> Image.Image:
        small = self._rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((width, height))
