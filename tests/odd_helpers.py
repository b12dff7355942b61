"""Helpers of prepare that do wrong, each as a process: `python tests/odd_helpers.py KIND`.

What an article of theirs does stands in its title: "hang" hangs, "die" dies, "die once" dies in the first process alone.
Any other article is answered: its title is its text.
"""

import json
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rerank_core.prepare.messages import LENGTH, TOO_LARGE, framed, received

LOG = "ODD_LOG"  # variable that names a file: a line for each article that begins or ends, with time and process


class Executed:
    """What makes the file `executed` if it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {os.environ.get('HOME', '/nonexistent')}/executed",)


def document(text: str, **other: Any) -> dict[str, Any]:
    made = {"title": text, "text": text, "lang": "en", "terms": text, "lang_confidence": 1.0, "flags": []}
    return {
        "document": {**made, "signature": None, "letters_in": 1, "letters_out": 1, **other},
        "counts": {"lang_en": 1},
    }


# Answers that are none.
WRONG: dict[str, Any] = {
    "pickle": pickle.dumps(Executed()),
    "no json": b"{",
    "another key": framed({**document("x"), "run": "id"})[4:],
    "a digest of its own": framed(document("x", digest="00"))[4:],
    "NUL": framed(document("a\x00b"))[4:],
    "a long text": framed(document("x" * 20_001))[4:],
    "a number for a text": framed(document("x", title=1))[4:],
    "a confidence of 2": framed(document("x", lang_confidence=2.0))[4:],
    "a short signature": framed(document("x", signature="AAAA"))[4:],
    "letters below zero": framed(document("x", letters_in=-1))[4:],
    "a count below zero": framed({**document("x"), "counts": {"lang_en": -1}})[4:],
    "a name with a quote": framed({**document("x"), "counts": {"'; DROP": 1}})[4:],
}
WRONG_FRAMES = {
    "a giant": LENGTH.pack(1 << 31),
    "more than its length": LENGTH.pack(2) + b"{}{}",
    "a pickle without a frame": pickle.dumps(Executed()),
}


def note(what: str, title: str) -> None:
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{time.monotonic()} {os.getpid()} {what} {title}\n")


def hang() -> None:
    while True:
        pass


def answered(article: dict[str, Any], kind: str) -> bytes:
    title = str(article["title"])
    note("begin", title)
    if title == "hang":
        hang()
    if title == "sleep":
        time.sleep(3600)
    if title == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if title == "linger":
        time.sleep(0.3)
    if title == "large":
        os._exit(TOO_LARGE)
    if title == "stop once" and not Path(os.environ["HOME"], "stopped").exists():
        Path(os.environ["HOME"], "stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    if title == "die" or (title == "die once" and not Path(os.environ["HOME"], "died").exists()):
        Path(os.environ["HOME"], "died").touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    note("end", title)
    if title == "wrong":
        body = WRONG.get(kind)
        return WRONG_FRAMES[kind] if body is None else LENGTH.pack(len(body)) + body
    return framed(document(title))


def main(kind: str) -> None:
    questions, answers = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    if kind == "silent":
        raise SystemExit("could not load \x1b[2J libxml2")
    received(questions)
    answers.write(framed({}))
    answers.flush()
    if kind == "eager":
        questions.read(1)
        answers.write(framed(document("any")))
        answers.flush()
        time.sleep(3600)
    while (question := received(questions)) is not None:
        answers.write(answered(json.loads(question)["prepare"], kind))
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
