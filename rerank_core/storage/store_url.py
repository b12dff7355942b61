"""The store's URL, as a person writes it → as pyarrow takes it.

A slip must not become a folder: `s3:/bucket` would be one below the current folder, and each worker would have its own. So
anything but an absolute path or a known scheme with `://` is refused, with what to write instead.
"""

import re
from pathlib import Path

from rerank_core.errors import HIDDEN, SettingsError

SCHEMES = ("file", "s3", "gs", "gcs")
FORMS = "use file:///folder, s3:// or gs://, or an absolute path"
_PLAIN = re.compile(r"[!-~]*")  # what a URL may hold as it is; all else is percent-encoded


def shown(url: str) -> str:
    """The URL for a message. Until it is known to be a store, it may hold a secret anywhere."""
    return HIDDEN if set("@?{") & set(url) else url.rstrip("/")


def as_uri(url: str) -> str:
    """The URL as pyarrow takes it; small files go to S3 in one request rather than in three.

    Raises SettingsError, which says what to write, if the URL is no absolute path and has no known scheme with `://`, or
    if a part of it would be lost.
    """
    if not url.strip() or url != url.strip():
        raise _slip(url, "it is empty, or has white space around it", FORMS)
    if url.startswith("/"):
        return Path(url).resolve().as_uri()
    scheme, separator, rest = url.partition("://")
    if not separator and url.startswith("file:/"):  # RFC 8089 has this, too
        scheme, separator, rest = "file", "://", url[5:]
    if not separator:
        raise _without_slashes(url)
    if scheme not in SCHEMES:
        known = scheme.lower() if scheme.lower() in SCHEMES else None
        raise _slip(url, "its scheme is not known", f"write {known}:// in small letters" if known else FORMS)
    if "#" in rest or not _PLAIN.fullmatch(rest) or (scheme == "file" and "?" in rest):
        advice = "percent-encode it: %20 for a blank, %23 for #, %3F for ?"
        advice += ", or write the plain path" if scheme == "file" else ""
        raise _slip(url, "it has a blank or another character that a URL cannot hold as it is", advice)
    if scheme == "file":
        path = rest.removeprefix("localhost")
        if not path.startswith("/"):
            raise _slip(url, "file:// takes no host", _write(url, f"file:///{rest}", "file:///folder"))
        return f"file://{path}"
    if not rest.partition("/")[0].rpartition("@")[2].partition("?")[0]:
        raise _slip(
            url, "it names no bucket", _write(url, f"{scheme}://{rest.lstrip('/')}", f"{scheme}://bucket")
        )
    if scheme != "s3" or "allow_delayed_open=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}allow_delayed_open=true"


def _without_slashes(url: str) -> SettingsError:
    """What is wrong with a URL that has no `://` and is no absolute path."""
    if found := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/*", url):
        scheme = found[1].lower()
        if scheme not in SCHEMES:
            return _slip(url, "its scheme is not known, and a scheme ends with ://", FORMS)
        form = "file:///folder" if scheme == "file" else f"{scheme}://bucket"
        better = form[: form.rindex("/") + 1] + url[found.end() :]
        return _slip(url, f"{scheme}: lacks its two slashes", _write(url, better, form))
    if url.startswith("~"):
        return _slip(url, "no shell replaces the ~", "write the home folder's absolute path")
    if "\\" in url or re.match("[A-Za-z]:", url):
        return _slip(
            url, "it is a path of Windows", "write the folder's path on this host, which begins with /"
        )
    advice = _write(url, f"{Path(url).resolve()}", "its absolute path")
    return _slip(url, "it is relative: each process would begin at its own folder", advice)


def _write(url: str, better: str, form: str) -> str:
    """What to write instead: the better URL, or its form alone if the URL may hold a secret."""
    is_better = shown(url) != HIDDEN and not better.endswith("://")
    return f"write {better if is_better else form}"


def _slip(url: str, why: str, advice: str) -> SettingsError:
    return SettingsError(f"RERANK_STORE_URL = {shown(url)!r} is not a store: {why}; {advice}")
