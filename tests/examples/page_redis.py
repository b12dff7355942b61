"""A topic from the hot copy in Redis: REDIS_URL=redis://… python tests/examples/page_redis.py TOPIC."""

import json
import os
import sys

import redis

topic = sys.argv[1]
content = redis.Redis.from_url(os.environ["REDIS_URL"]).get(
    f"rerank:{{news}}:topic:{topic}"
)  # the braces are part of the key
if content is None:
    sys.exit(f"no copy of {topic}: read the view instead")
topic_file = json.loads(content)
if topic_file["format"] != 1:
    sys.exit(f"format {topic_file['format']} is not known here")
print(f"{topic}: {topic_file['state']}, {len(topic_file['articles'])} articles, as of {topic_file['as_of']}")
for article in topic_file["articles"][:10]:
    print(article["rank"], article["article_id"], article["title"], sep="\t")
