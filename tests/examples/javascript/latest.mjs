// A topic from the JSON files, without a database: node tests/examples/javascript/latest.mjs http://host/store TOPIC
const [store, topic] = process.argv.slice(2);

async function json(path, options) {
  const answer = await fetch(`${store}/${path}`, options);
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer.json();
}

// latest.json is asked for each time; a topic file never changes and may come from a cache.
async function topicFile() {
  for (let tries = 0; tries < 3; tries++) {
    const latest = await json("news/latest.json", { cache: "no-cache" });
    if (latest === null) throw new Error("nothing is published yet");
    if (latest.format !== 1) throw new Error(`format ${latest.format} is not known here`);
    if (!Object.hasOwn(latest.topics, topic)) throw new Error(`the page has no topic ${topic}`);
    const file = await json(latest.topics[topic].page);
    if (file !== null) return file; // else a newer page has come, and these files are gone
  }
  throw new Error("the page moves faster than it can be read");
}

const { state, as_of, articles } = await topicFile();
console.log(`${topic}: ${state}, ${articles.length} articles, as of ${as_of}`);
for (const { rank, article_id, title } of articles.slice(0, 10)) console.log(`${rank}\t${article_id}\t${title}`);
