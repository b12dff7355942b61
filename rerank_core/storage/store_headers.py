"""What readers are told of a file of the store: its type, and how long they may keep it."""

# Ending → type; the longest that fits counts.
TYPES = {
    ".feed.json": "application/feed+json",
    ".atom.xml": "application/atom+xml",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}
REPLACED = "no-cache"  # ask each time
WRITTEN_ONCE = (
    "max-age=3600, immutable"  # not for ever: what a cache shows of a forgotten article has to go, too
)


def headers(path: str, *, written_once: bool) -> dict[str, str]:
    """What an object store tells readers of the file."""
    return {
        "Content-Type": content_type(path),
        "Cache-Control": WRITTEN_ONCE if written_once else REPLACED,
    }


def content_type(path: str) -> str:
    """What readers are told that a JSON file, a feed or a picture is."""
    kind = next((kind for ending, kind in TYPES.items() if path.endswith(ending)), TYPES[".json"])
    return kind if kind.startswith("image/") else f"{kind}; charset=utf-8"
