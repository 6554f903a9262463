// Why images of a job failed: one block per reason, with its stores.
import { get } from "../api.js";
import { count, number } from "../format.js";
import { html, useEffect, useState } from "../lib.js";
import { href } from "../router.js";
import { Shape } from "../ui.js";
import { reason } from "../words.js";

const PAGE = 1000;
const MAX_ROWS = 10_000;
const STORES_SHOWN = 5;
const WAIT_MS = 4000;

function group(rows) {
  const kinds = new Map();
  for (const { error, store_id, store_name } of rows) {
    const said = reason(error);
    if (!kinds.has(said.kind)) kinds.set(said.kind, { ...said, code: error.code, images: 0, stores: new Map() });
    const found = kinds.get(said.kind);
    found.images += 1;
    const store = found.stores.get(store_id) ?? { id: store_id, name: store_name, images: 0 };
    store.images += 1;
    found.stores.set(store_id, store);
  }
  return [...kinds.values()].sort((a, b) => b.images - a.images);
}

// Reads the failed images, again when there are others, and not too often while the job runs.
function useFailed({ job_id: id, images: { failed }, run, status }, onReady) {
  const [found, setFound] = useState({ rows: [], isWhole: true });
  const version = `${id} ${run} ${status} ${failed}`;
  useEffect(() => {
    if (!failed) return setFound({ rows: [], isWhole: true });
    const controller = new AbortController();
    const read = async () => {
      const rows = [];
      let cursor;
      do {
        const page = await get(`/api/jobs/${id}/results`, { outcome: "failed", limit: PAGE, cursor }, controller.signal);
        rows.push(...page.results);
        cursor = page.next_cursor;
      } while (cursor && rows.length < MAX_ROWS);
      setFound({ rows, isWhole: !cursor });
    };
    const timer = setTimeout(() => read().catch(onReady), status === "ongoing" && found.rows.length ? WAIT_MS : 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [version]);
  return found;
}

function Reason({ job, found }) {
  const [all, setAll] = useState(false);
  const stores = [...found.stores.values()].sort((a, b) => b.images - a.images);
  const shown = all ? stores : stores.slice(0, STORES_SHOWN);
  return html`<li class="reason">
    <div class="said">
      <h3><${Shape} kind="failed" />${found.what} <code>${found.code}</code></h3>
      <p>${found.todo}</p>
      <p class="quiet">${count(found.images, "image")} in ${count(stores.length, "store")}</p>
    </div>
    <ul class="stores">${shown.map((store) => html`<li key=${store.id}>
      <a href=${href(`jobs/${job.job_id}`, { outcome: "failed", store: store.id })}>${store.id}</a>
      <span class="store-name">${store.name}</span><span class="numeric">${number(store.images)}</span></li>`)}
      ${stores.length > shown.length && html`<li><button type="button" class="link" onClick=${() => setAll(true)}>Show all ${number(stores.length)} stores</button></li>`}
    </ul>
  </li>`;
}

// `onReady` says that the block has its final height, so that what is below it does not move.
export function Failures({ job, onReady }) {
  const { rows, isWhole } = useFailed(job, onReady);
  const isReady = rows.length > 0 || !job.images.failed;
  useEffect(() => {
    if (isReady) onReady();
  }, [isReady]);
  if (!job.images.failed) return null;
  const groups = group(rows);
  return html`<section class="card failures" aria-labelledby="failures">
    <h2 id="failures">What failed <span class="quiet">${count(job.images.failed, "image")}</span></h2>
    ${!isWhole && html`<p class="quiet">Counted over the first ${number(rows.length)} failed images.</p>`}
    ${groups.length === 0 && html`<div class="bone" />`}
    <ul>${groups.map((found) => html`<${Reason} key=${found.kind} job=${job} found=${found} />`)}</ul>
  </section>`;
}
