// A topic as HTML, read page by page: DATABASE_URL=postgresql://… node tests/examples/javascript/page.mjs TOPIC [SIZE]
import { fileURLToPath } from "node:url";
import pg from "pg";

const STATE = `
  SELECT publication_id, state, as_of FROM rerank.current_topic WHERE pipeline = 'news' AND topic = $1`;
const ROWS = `
  SELECT rank, title, url, source, ranked_by FROM rerank.recent_ranking
  WHERE publication_id = $1 AND topic = $2 AND rank > $3
  ORDER BY rank
  LIMIT $4`;
const READABLE = `SELECT EXISTS (SELECT FROM rerank.recent_ranking WHERE publication_id = $1) AS readable`;

// The topic's rows, `size` at a time, all of one publication.
export async function* pages(client, topic, size) {
  const [stateRow] = (await client.query(STATE, [topic])).rows;
  if (!stateRow) throw new Error(`the page has no topic ${JSON.stringify(topic)}`);
  const publication = stateRow.publication_id; // a bigint: node-postgres gives it as a string, so keep it a string
  let last = 0;
  for (;;) {
    const { rows } = await client.query(ROWS, [publication, topic, last, size]);
    if (!rows.length) break;
    yield rows;
    last = rows.at(-1).rank;
  }
  const [{ readable }] = (await client.query(READABLE, [publication])).rows;
  if (last && !readable) throw new Error(`publication ${publication} left the page a day ago: begin again`);
}

// Every text comes from a stranger. In a browser, `element.textContent = title` does the same.
export const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`);

export function item({ rank, title, url, source, ranked_by }) {
  let shown = escape(title);
  if (url !== null) shown = `<a href="${escape(url)}" rel="noopener nofollow">${shown}</a>`;
  if (source !== null) shown += ` – ${escape(source)}`;
  if (ranked_by !== "model") shown += " (not scored yet)";
  return `<li value="${rank}">${shown}</li>`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [topic, size = "10"] = process.argv.slice(2);
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  for await (const rows of pages(client, topic, Number(size))) {
    console.log(["<ol>", ...rows.map(item), "</ol>"].join("\n"));
  }
  await client.end();
}
