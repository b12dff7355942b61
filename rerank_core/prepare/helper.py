"""A helper: the process in which the texts of strangers are parsed. `python -m rerank_core.prepare.helper` runs it.

It reads questions from its standard input, each about an article, and answers them in their order on its standard output
(messages.py). It knows no database, no setting and no secret. Its owner (helpers.py) watches how long an article takes;
the helper itself bounds the memory that an article may take.

It ends with its input. If its owner dies in the middle of an article, the kernel ends it at once.
"""

import base64
import ctypes
import json
import os
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rerank_core.prepare import captions
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.messages import TOO_LARGE, framed, received
from rerank_core.records import Document

FULL = 0.95  # an article that takes this share of the memory may have been cut short by a library that says nothing
MAX_TOLD = 4_000  # characters of a traceback, or of a line about a step
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
# What is prepared first, so that no article waits for libraries and dictionaries. Each is long enough to be signed.
SAMPLES = {
    "pages": "<html><body><article><h1>A line opens</h1><p>The new line opens in the spring, on days {}.</p>"
    "</article></body></html>".format(", ".join(map(str, range(99)))),
    "chinese": "交通部门周一表示，两座城市之间的新线路将于春季开通，车票一月起发售，首班列车清晨出发。沿线共设十二个车站，"
    "市民可以提前三十天预订座位，学生和老人享受半价优惠。",
}


class Helper:
    """What a helper is told first: how it cleans, and how much memory an article may take."""

    def __init__(self, *, without: list[str], rules: str | None, mib: int) -> None:
        self.cleaning = Cleaning(without=frozenset(without), rules=None if rules is None else Path(rules))
        self._bytes = mib << 20
        self._does: dict[str, Callable[..., dict[str, Any]]] = {
            "load": self._load,
            "prepare": self._prepared,
            "trace": self._traced,
            "look": self._looked,
        }
        self._resident = 0  # VmPeak is looked at only if this has grown: a look takes a while
        self._load("pages")

    def answer(self, question: bytes) -> bytes:
        """The answer to one question, as it is sent. Ends the process if the article takes too much memory."""
        try:
            head, has_content, content = question.partition(b"\0")
            ((what, given),) = json.loads(head).items()
            answered = framed(self._does[what](**given, **({"content": content} if has_content else {})))
        except MemoryError:
            os._exit(TOO_LARGE)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if resident > self._resident and _memory("VmPeak") > max(self._peak, self._own + FULL * self._bytes):
            os._exit(TOO_LARGE)
        self._resident = resident
        return answered

    def _load(self, sample: str) -> dict[str, Any]:
        """Load what such a text needs. It counts as the helper's own memory."""
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        with suppress(Exception):  # a fault in the rules is told with each article
            if sample == "media":
                from rerank_core.prepare import pictures  # a pipeline of texts alone loads no decoder

                pictures.load_decoders()
            else:
                to_document(title=None, summary=None, body=SAMPLES[sample], lang=None, cleaning=self.cleaning)
        self._own, self._peak = _memory("VmSize"), _memory("VmPeak")
        limit = self._own + self._bytes
        resource.setrlimit(
            resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
        )
        return {}

    def _prepared(
        self,
        *,
        title: str | None,
        summary: str | None,
        body: str | None,
        lang: str | None,
        told: list[tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        """What becomes of an article: its document or the reason of its refusal, and what the steps did."""
        counts: Counter[str] = Counter()
        try:
            document = to_document(
                title=title,
                summary=summary,
                body=body,
                lang=lang,
                cleaning=self.cleaning,
                counts=counts,
                told=told,
            )
        except Unpreparable as reason:
            return {"refused": str(reason), "counts": counts}
        except MemoryError:
            raise
        except Exception as error:
            return {
                "refused": f"unreadable: {type(error).__name__} in its preparation",
                "failure": traceback.format_exc()[-MAX_TOLD:],
                "counts": counts,
            }
        return {"document": _plain(document), "counts": counts}

    def _looked(self, *, kind: str, caption: str | None, content: bytes | None = None) -> dict[str, Any]:
        """What becomes of a medium: a small picture, or the reason why it is dropped; and its clean caption."""
        from rerank_core.prepare.formats import Refused
        from rerank_core.prepare.pictures import small

        answer: dict[str, Any] = {"caption": captions.cleaned(caption, cleaning=self.cleaning)}
        if content is None:
            return answer
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # no decoder opens a file or a socket
        try:
            made = small(kind, content)
        except Refused as reason:
            return answer | {"refused": str(reason)}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        picture = base64.b64encode(made.content).decode()
        return answer | {
            "content": picture,
            "width": made.width,
            "height": made.height,
            "frames": made.frames,
        }

    def _traced(self, **article: Any) -> dict[str, Any]:
        from rerank_core.prepare.trace import trace

        steps, digest = trace(**article, cleaning=self.cleaning)
        return {
            "steps": {name: [line[:MAX_TOLD] for line in did] for name, did in steps.items()},
            "digest": None if digest is None else digest.hex(),
        }


def _plain(document: Document) -> dict[str, Any]:
    """A document without its digest, which its reader makes."""
    return {
        "title": document.title,
        "text": document.text,
        "lang": document.lang,
        "terms": document.terms,
        "lang_confidence": document.lang_confidence,
        "flags": document.flags,
        "signature": None if document.signature is None else base64.b64encode(document.signature).decode(),
        "letters_in": document.letters_in,
        "letters_out": document.letters_out,
    }


def _memory(name: str) -> int:
    """A figure of this process's address space, in bytes: VmSize now, or VmPeak at its largest."""
    with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123 - twice as quick for each article
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def main() -> None:
    """The body of a helper's process; it returns when the owner is gone."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no text of an article in a core file
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to standard error, so it is not read as an answer
    begin = received(questions)
    if begin is None:
        return
    helper = Helper(**json.loads(begin))
    answer = framed({})
    with suppress(BrokenPipeError):
        while True:
            answers.write(answer)
            answers.flush()
            question = received(questions)
            if question is None:
                return
            answer = helper.answer(question)


if __name__ == "__main__":
    main()
