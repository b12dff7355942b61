"""A topic from the hot copy in Redis: REDIS_URL=redis://… python tests/examples/page_redis.py TOPIC."""

import json
import os
import sys

import redis

topic = sys.argv[1]
content = redis.Redis.from_url(os.environ["REDIS_URL"]).get(
    f"rerank:{{news}}:topic:{topic}"
)  # with the braces
if content is None:
    sys.exit(f"no copy of {topic}: read the view instead")
page = json.loads(content)
if page["format"] != 1:
    sys.exit(f"format {page['format']} is not known here")
print(f"{topic}: {page['state']}, {len(page['articles'])} articles, as of {page['as_of']}")
for article in page["articles"][:10]:
    print(article["rank"], article["article_id"], article["title"], sep="\t")
