"""What a test needs to run `rerank` commands: topics, articles, and how a command ended."""

from collections.abc import Callable
from dataclasses import dataclass

TOPICS = """
topics:
- slug: ai-chips
  query: 人工智能 芯片
- slug: rates
  query: central bank raises interest rate
"""


ARTICLES = [
    {
        "id": "zh-1",
        "title": "新款人工智能芯片发布",
        "body": "芯片公司今天发布人工智能芯片。",
        "source": "晨报",
    },
    {
        "id": "en-1",
        "title": "Central bank raises interest rate",
        "body": "The bank raised its rate.",
        "source": "Post",
    },
    {
        "id": "en-2",
        "title": "Football \x1b[31mred\x1b[0m [bold]cup[/bold]",
        "body": "A cup and an interest rate.",
    },
]


@dataclass(frozen=True)
class Ended:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str


Rerank = Callable[..., Ended]
