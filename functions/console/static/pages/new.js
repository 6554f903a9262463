import { ApiError, checkKey, getRows, request } from "../api.js";
import { csv, save } from "../download.js";
import { count, number } from "../format.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { bodyOf, keyOf, metadataOf, nameOf, otherSeries, partsOf, seriesOf } from "../parts.js";
import { go, href } from "../router.js";
import { may, session, updateAccount } from "../session.js";
import { makeStore, useStore } from "../state.js";
import { useNarrow, VirtualTable } from "../table.js";
import { Action, announce, ErrorBox, Notice, Shape, Title } from "../ui.js";
import { readVisits } from "../visits.js";

const EXAMPLE = [
  ["S00339218", "2026-11-23T10:00:00Z", "https://www.gstatic.com/webp/gallery/2.jpg"],
  ["S00339218", "2026-11-23T10:00:00Z", "https://www.gstatic.com/webp/gallery/3.jpg"],
  ["S01408764", "2026-11-23T11:30:00Z", "https://www.gstatic.com/webp/gallery/3.jpg"],
];
const HEADER = ["store_id", "visit_time", "image_url"];
// The service remembers an Idempotency-Key for a day: the job of one is not older than this.
const SEARCHED_MS = 2 * 86_400_000;
const OTHER_REQUEST = "idempotency_mismatch";

// What is being prepared. It outlives the page, so that a key that is refused meanwhile costs no work.
const EMPTY = { name: "", found: null, parts: [], stores: 0, reading: 0, jobs: [], sending: null, error: null, failure: null, series: "" };
const draft = makeStore(EMPTY);
const change = (changes) => draft.set({ ...draft.get(), ...changes });

async function prepare(name, read, isPasted) {
  draft.set({ ...EMPTY, name: nameOf(name), reading: 1 });
  try {
    const content = await read();
    const series = await seriesOf(isPasted ? new TextEncoder().encode(content) : content);
    const found = await readVisits(content, { isPasted, onProgress: (rows) => change({ reading: rows }) });
    const parts = await partsOf(found, series);
    const stores = new Set(found.visits.map(({ store_id }) => store_id)).size;
    change({ found, parts, stores, series, reading: 0 });
    const rest = found.problems.length ? count(found.problems.length, "problem") : "No problems";
    announce(`${name}: ${count(found.visits.length, "visit")}, ${count(found.images, "image")}. ${rest}.`);
  } catch (failure) {
    console.error(failure);
    change({ reading: 0, failure: "The file could not be read." });
  }
}

// Returns the job that was submitted under a key from another request, for example from the same file under another name.
async function findJob(key, refusal) {
  if (!may("read")) {
    const text = "This file was submitted within the last day, for example under another name. This key may not read which job it is.";
    throw new ApiError(text, { status: refusal.status, requestId: refusal.requestId });
  }
  const from = new Date(Date.now() - SEARCHED_MS).toISOString();
  let cursor;
  do {
    const { rows, next } = await getRows("/api/jobs", "jobs", { from, limit: 100, cursor });
    const job = rows.find(({ metadata }) => metadata.submission === key);
    if (job) return { id: String(job.job_id), replayed: true };
    cursor = next;
  } while (cursor);
  throw refusal;
}

async function send(part, metadata, key) {
  const headers = { "content-type": "application/json", "idempotency-key": key };
  try {
    const { response, text } = await request("/api/submit", { method: "POST", body: bodyOf(part, metadata), headers });
    return { id: String(JSON.parse(text).job_id), replayed: response.headers.get("idempotent-replayed") === "true" };
  } catch (error) {
    if (error.code !== OTHER_REQUEST) throw error;
    return findJob(key, error);
  }
}

// Sends the parts that have no job yet: after an error, the same parts have the same keys, so nothing is submitted twice.
async function submit() {
  const { parts, name, found, series } = draft.get();
  change({ error: null });
  for (let number_ = draft.get().jobs.length; number_ < parts.length; number_++) {
    change({ sending: number_ });
    const key = keyOf(series, number_ + 1);
    const metadata = metadataOf(found.metadata, name, parts.length > 1 ? `${number_ + 1} of ${parts.length}` : "", key);
    try {
      const job = await send(parts[number_], metadata, key);
      change({ jobs: [...draft.get().jobs, job] });
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      change({ sending: null, error });
      return;
    }
  }
  const { jobs } = draft.get();
  change({ sending: null });
  announce(`Submitted: ${count(jobs.length, "job")}.`);
  if (jobs.length === 1 && !jobs[0].replayed && may("read")) {
    draft.set(EMPTY);
    go(`jobs/${jobs[0].id}`);
  }
}

async function again() {
  const { found, series } = draft.get();
  const other = otherSeries(series);
  change({ jobs: [], error: null, sending: 0, series: other, parts: await partsOf(found, other) });
  submit();
}

function Choose() {
  const [over, setOver] = useState(false);
  const [text, setText] = useState("");
  const take = (file) => file && prepare(file.name, async () => new Uint8Array(await file.arrayBuffer()), false);
  const onDrop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  const onDragOver = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`<section class="step" aria-labelledby="choose">
    <h2 id="choose">Choose a file of visits</h2>
    <div class="choose">
      <label class="drop ${over ? "over" : ""}" onDragOver=${onDragOver} onDragLeave=${() => setOver(false)} onDrop=${onDrop}>
        <input type="file" accept=".csv,.txt,.json,text/csv,application/json" onChange=${(event) => take(event.currentTarget.files[0])} />
        <strong>Choose a file</strong><span>or drop it here</span>
        <small>CSV as a spreadsheet saves it, or JSON as the API takes it</small>
      </label>
      <form class="paste" onSubmit=${(event) => { event.preventDefault(); if (text.trim()) prepare("pasted visits", async () => text, true); }}>
        <label class="field">Or paste rows, with their header
          <textarea rows="6" spellcheck=${false} wrap="off" value=${text} placeholder="store_id,visit_time,image_url" onInput=${(event) => setText(event.currentTarget.value)} /></label>
        <button type="submit" disabled=${!text.trim()}>Check the pasted rows</button>
      </form>
    </div>
    <details class="format" open><summary>What must be in the file?</summary>
      <p>One row per photo, and a header that names three columns, in any order. Other columns are ignored. Rows with the same store and time make one visit.</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Example"><table><thead><tr>${HEADER.map((name) => html`<th scope="col" key=${name}>${name}</th>`)}</tr></thead>
        <tbody>${EXAMPLE.map((row) => html`<tr key=${row.join()}>${row.map((cell) => html`<td key=${cell}>${cell}</td>`)}</tr>`)}</tbody></table></div>
      <p><button type="button" class="link" onClick=${() => save("visits-example.csv", [csv(HEADER, EXAMPLE)])}>Download this as a file</button></p>
    </details>
  </section>`;
}

const FINDING = [
  { name: "row", title: "Row", width: "72px", narrow: "52px", class: "numeric" },
  { name: "column", title: "Column", width: "128px", narrow: "92px" },
  { name: "problem", title: "Problem" },
  { name: "fix", title: "How to fix it", wide: true },
];

function Findings({ list, label }) {
  const draw = (index) => {
    const { row, column, problem, fix } = list[index];
    const text = problem.charAt(0).toUpperCase() + problem.slice(1);
    return { row: row === null ? "" : number(row), column: html`<code title=${column}>${column}</code>`, problem: html`<div class="lines" title=${text}>${text}</div>`, fix: html`<div class="lines" title=${fix}>${fix}</div>` };
  };
  const stacked = (index) => {
    const { problem, fix, ...rest } = draw(index);
    return { ...rest, problem: html`<div class="stacked">${problem}<small>${list[index].fix}</small></div>` };
  };
  const isNarrow = useNarrow();
  return html`<div class="card"><${VirtualTable} label=${label} columns=${FINDING} total=${list.length}
    row=${isNarrow ? stacked : draw} rowHeight=${isNarrow ? 80 : 48} /></div>`;
}

const downloadFindings = (name, list) => save(`${name.replace(/\.\w+$/, "")}-problems.csv`, [csv(["row", "column", "problem", "how_to_fix"], list.map(({ row, column, problem, fix }) => [row, column, problem, fix]))]);

function Problems({ name, found }) {
  return html`<section class="step" aria-labelledby="problems">
    <div class="subheading"><h2 id="problems"><${Shape} kind="failed" />${count(found.problems.length, "problem")}</h2>
      <button type="button" onClick=${() => downloadFindings(name, found.problems)}>Download the problems</button></div>
    <p>Nothing has been sent. Correct these in your spreadsheet, where the header is row 1, and choose the file again.</p>
    <${Findings} list=${found.problems} label="Problems" />
  </section>`;
}

function Warnings({ found }) {
  if (!found.warnings.length) return null;
  return html`<details class="warnings"><summary><${Shape} kind="warned" />${count(found.warnings.length, "warning")}: the visits are accepted as they are</summary>
    <${Findings} list=${found.warnings} label="Warnings" /></details>`;
}

function limitOf(images) {
  const { remaining } = session.get();
  if (remaining === null || remaining === undefined || images <= remaining) return "";
  return `The daily limit of this key leaves ${count(remaining, "image")} for today.`;
}

function Summary({ state }) {
  const { found, parts, stores, name, jobs, sending } = state;
  const [partly, setPartly] = useState(false);
  useEffect(() => {
    // The limit may have changed since the sign-in.
    if (may("read") && session.get().remaining !== null) checkKey(session.get().key).then(updateAccount, () => {});
  }, []);
  const account = useStore(session);
  const bad = found.problems.length > 0;
  const limit = limitOf(found.images, account);
  let why = "";
  if (!may("submit")) why = "This key has no scope “submit”.";
  else if (bad && !partly) why = "Correct the problems first, or leave out their rows.";
  const left = parts.length - jobs.length;
  const label = jobs.length ? `Submit the other ${count(left, "part")}` : `Submit ${count(found.images, "image")}`;
  return html`<section class="step" aria-labelledby="summary">
    <h2 id="summary">Summary</h2>
    <dl class="counts card">
      <div><dt>File</dt><dd class="text">${name}</dd></div>
      <div><dt>Visits</dt><dd>${number(found.visits.length)}</dd></div>
      <div><dt>Images</dt><dd>${number(found.images)}</dd></div>
      <div><dt>Stores</dt><dd>${number(stores)}</dd></div>
      <div><dt>Jobs</dt><dd>${number(parts.length)}</dd></div>
    </dl>
    ${parts.length > 1 && html`<p class="quiet">The file is submitted in ${number(parts.length)} parts of at most 50,000 images and 5 MB; each becomes a job.</p>`}
    ${limit && html`<${Notice}>${limit}</${Notice}>`}
    ${bad && html`<p><label class="check"><input type="checkbox" checked=${partly} onChange=${(event) => setPartly(event.currentTarget.checked)} />
      Leave out the rows with problems, and submit the other ${count(found.images, "image")}</label></p>`}
    <div class="actions">
      <${Action} primary why=${why} busy=${sending !== null} onClick=${submit}>${sending !== null ? `Sending part ${sending + 1} of ${parts.length}…` : label}</${Action}>
      ${sending === null && html`<button type="button" onClick=${() => draft.set(EMPTY)}>Choose another file</button>`}
    </div>
  </section>`;
}

function Sent({ state }) {
  const { jobs, parts, sending } = state;
  if (!jobs.length) return null;
  const isDone = jobs.length === parts.length && sending === null;
  const replayed = jobs.filter((job) => job.replayed).length;
  return html`<section class="step" aria-labelledby="sent">
    <h2 id="sent">${isDone ? "Submitted" : `${number(jobs.length)} of ${count(parts.length, "part")} submitted`}</h2>
    ${replayed > 0 && html`<${Notice}>${replayed === jobs.length ? "This file was submitted before, within the last day, so no new job was made." : `${count(replayed, "part")} had been submitted before; no second job was made.`}</${Notice}>`}
    <ul class="sent">${jobs.map(({ id, replayed: isOld }, index) => html`<li key=${id}><a href=${href(`jobs/${id}`)}>Job ${id}</a>
      <span class="quiet">${parts.length > 1 ? `part ${index + 1}, ` : ""}${count(parts[index].images, "image")}${isOld ? ", submitted before" : ""}</span></li>`)}</ul>
    ${isDone && html`<div class="actions">
      <button type="button" class="primary" onClick=${() => draft.set(EMPTY)}>Submit another file</button>
      ${replayed > 0 && html`<button type="button" onClick=${again}>Submit it again as new jobs</button>`}
    </div>`}
  </section>`;
}

function useLeaveGuard(isActive) {
  useEffect(() => {
    if (!isActive) return undefined;
    const warn = (event) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isActive]);
}

export default function New() {
  const state = useStore(draft);
  const { found, reading, jobs, parts, sending, error, failure } = state;
  const isDone = jobs.length > 0 && jobs.length === parts.length && sending === null;
  const top = useRef(null);
  useLeaveGuard(sending !== null);
  useEffect(() => {
    if (found) top.current?.focus({ preventScroll: true });
  }, [Boolean(found)]);
  const hasVisits = found && found.visits.length > 0;
  return html`<main id="main" class=${found ? "" : "narrow"}>
    <${Title} name="New submission" />
    ${!may("submit") && html`<${Notice}>This key has no scope “submit”: you can check a file, but not send it.</${Notice}>`}
    ${failure && html`<${Notice} kind="failed">${failure}</${Notice}>`}
    ${reading > 0 && html`<p role="status" class="reading">Reading ${state.name}${reading > 1 ? `: ${number(reading)} rows` : "…"}</p>`}
    ${!found && !reading && html`<${Choose} />`}
    ${found && html`<div tabindex="-1" ref=${top} class="result">
      ${!isDone && html`<p class="file"><strong>${state.name}</strong> <span class="quiet">${count(found.rows, "row")}</span></p>`}
      ${!isDone && found.problems.length > 0 && html`<${Problems} name=${state.name} found=${found} />`}
      ${!isDone && html`<${Warnings} found=${found} />`}
      ${error && html`<${ErrorBox} error=${error} title=${jobs.length ? "A part could not be submitted" : "Nothing was submitted"} onRetry=${submit} />`}
      ${error && error.problems.length > 0 && html`<ul class="refused">${error.problems.map(({ place, rule }) => html`<li key=${place + rule}><code>${place}</code> ${rule}</li>`)}</ul>`}
      ${error?.status === 422 && html`<div class="actions"><button type="button" onClick=${again}>Submit it again as new jobs</button></div>`}
      <${Sent} state=${state} />
      ${!isDone && hasVisits && html`<${Summary} state=${state} />`}
      ${!isDone && !hasVisits && html`<div class="actions"><button type="button" class="primary" onClick=${() => draft.set(EMPTY)}>Choose another file</button></div>`}
    </div>`}
  </main>`;
}
