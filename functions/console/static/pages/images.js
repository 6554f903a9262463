// The images of a job: a long table with filters, and one image with its preview.
import { fileName, number, size } from "../format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { useRowList } from "../live.js";
import { href, refine, route } from "../router.js";
import { VirtualTable } from "../table.js";
import { Empty, ErrorBox, Status, TextFilter, Time } from "../ui.js";
import { OUTCOME, reason } from "../words.js";

const COLUMNS = [
  { name: "outcome", title: "Outcome", width: "112px", narrow: "36px", class: "icon" },
  { name: "store", title: "Store", width: "108px", narrow: "108px" },
  { name: "image", title: "Image" },
  { name: "size", title: "Size", width: "116px", class: "numeric", wide: true },
  { name: "perimeter", title: "Perimeter", width: "92px", narrow: "84px", class: "numeric" },
  { name: "why", title: "Reason", wide: true },
  { name: "attempts", title: "Attempts", width: "92px", class: "numeric", wide: true },
  { name: "next", title: "Next attempt", width: "116px", wide: true },
];

function Preview({ url }) {
  const [state, setState] = useState("loading");
  useEffect(() => setState("loading"), [url]);
  return html`<div class="preview ${state}">
    ${state === "failed" ? html`<p class="quiet">This browser cannot show the image.</p>`
      : html`<img key=${url} src=${url} alt="Preview of the image" referrerpolicy="no-referrer"
        onLoad=${() => setState("shown")} onError=${() => setState("failed")} />`}
  </div>`;
}

function Fact({ name, children }) {
  return html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
}

function Details({ row, onClose, onStep }) {
  const ref = useRef(null);
  // Before the next key can be pressed: each image has a new heading.
  useLayoutEffect(() => ref.current.focus({ preventScroll: true }), []);
  useEffect(() => {
    // Wherever the focus is by now, Escape closes it; an open menu or dialog comes first.
    const onEscape = (event) => event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]") && onClose();
    addEventListener("keydown", onEscape);
    return () => removeEventListener("keydown", onEscape);
  }, []);
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") onClose();
    else if (step) onStep(step);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const failure = row.error ?? row.last_error;
  const said = failure && reason(failure);
  return html`<aside class="details" aria-label="Image" onKeyDown=${onKeyDown}>
    <header><h3 tabindex="-1" ref=${ref}>${fileName(row.url)}</h3>
      <button type="button" class="close" aria-label="Close" title="Close (Esc)" onClick=${onClose}>
        <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8" /></svg></button></header>
    <${Preview} url=${row.url} />
    <p class="address"><a href=${row.url} target="_blank" rel="noopener noreferrer">${row.url}</a></p>
    ${said && html`<div class="said"><p><strong>${said.what}</strong></p><p>${said.todo}</p>
      <p class="quiet"><code>${failure.code}</code> ${failure.message}</p></div>`}
    <dl>
      <${Fact} name="Outcome"><${Status} kind=${row.outcome} /></${Fact}>
      <${Fact} name="Store">${row.store_id} ${row.store_name && html`<span class="quiet">${row.store_name}</span>`}</${Fact}>
      <${Fact} name="Visit">${row.visit_time}</${Fact}>
      ${row.perimeter !== null && html`
        <${Fact} name="Size">${number(row.width)} × ${number(row.height)} pixels</${Fact}>
        <${Fact} name="Perimeter">${number(row.perimeter)} pixels</${Fact}>
        <${Fact} name="File">${row.format}, ${size(row.bytes)}</${Fact}>`}
      ${row.attempts !== null && html`<${Fact} name="Attempts">${number(row.attempts)}</${Fact}>`}
      ${row.next_attempt_at && html`<${Fact} name="Next attempt"><${Time} at=${row.next_attempt_at} /></${Fact}>`}
    </dl>
  </aside>`;
}

function Outcomes({ job, query }) {
  const at = (outcome) => href(`jobs/${job.job_id}`, { ...query, outcome });
  const item = (outcome, word, amount) => html`<li key=${word}><a href=${at(outcome)} aria-current=${(query.outcome ?? "") === outcome ? "true" : undefined}>
    ${word} <span class="amount">${number(amount)}</span></a></li>`;
  return html`<ul class="segments" aria-label="Outcome">
    ${item("", "All", job.images.total)}
    ${["measured", "failed", "pending"].map((kind) => item(kind, OUTCOME[kind], job.images[kind]))}
  </ul>`;
}

export function Images({ job, query, hidden }) {
  const outcome = query.outcome in OUTCOME ? query.outcome : undefined;
  const store = query.store ?? "";
  const isFiltered = Boolean(outcome || store);
  const rows = useRowList(`/api/jobs/${job.job_id}/results`, "results", { outcome, store_id: store }, []);
  const [open, setOpen] = useState(null);
  const shown = useRef([0, 30]);
  const version = `${job.run} ${job.status} ${job.images.measured} ${job.images.failed}`;
  useEffect(() => {
    rows.change(version, isFiltered, job.status !== "ongoing");
    if (!isFiltered) rows.refresh(...shown.current);
  }, [version, rows]);
  useEffect(() => setOpen(null), [rows]);

  const expected = store ? rows.rows.length + 1 : job.images[outcome ?? "total"];
  const total = rows.done ? rows.rows.length : Math.max(expected, rows.rows.length + 1);
  const onRange = async (first, last) => {
    shown.current = [first, last];
    await rows.need(last + 1);
    if (!isFiltered) rows.refresh(first, last);
  };
  const close = () => {
    const button = document.querySelector(`[data-image="${open}"]`);
    setOpen(null);
    button?.focus();
  };
  const draw = (index) => {
    const row = rows.get(index);
    if (!row) return undefined;
    const failure = row.error ?? row.last_error;
    return {
      outcome: html`<${Status} kind=${row.outcome} />`,
      store: html`<span title=${row.store_name ?? ""}>${row.store_id}</span>`,
      image: html`<button type="button" class="link" data-image=${index} title=${row.url} aria-expanded=${open === index} onClick=${() => setOpen(index)}>${fileName(row.url)}</button>`,
      size: row.width === null ? "" : `${number(row.width)} × ${number(row.height)}`,
      perimeter: row.perimeter === null ? "" : number(row.perimeter),
      why: failure && html`<span title=${failure.message}>${reason(failure).what} <code>${failure.code}</code></span>`,
      attempts: row.attempts ? number(row.attempts) : "",
      next: html`<${Time} at=${row.next_attempt_at} />`,
    };
  };
  const row = open === null ? undefined : rows.get(open);
  return html`<section aria-labelledby="images" hidden=${hidden}>
    <div class="subheading"><h2 id="images">Images</h2>
      <${Outcomes} job=${job} query=${query} />
      <form role="search" aria-label="Filter images" onSubmit=${(event) => event.preventDefault()}>
        <${TextFilter} label="Store" value=${store} data-filter placeholder="All stores" onChange=${(text) => refine({ store: text }, { replace: true })} />
      </form>
    </div>
    ${rows.error && html`<${ErrorBox} error=${rows.error} title="The images could not be loaded" onRetry=${() => rows.retry()} />`}
    ${total === 0 ? html`<${Empty} title="No image matches these filters"><p><a href=${href(route.get().path.join("/"))}>Show all images</a></p></${Empty}>`
      : html`<div class="split ${row ? "open" : ""}">
        <div class="card"><${VirtualTable} key=${`${outcome} ${store}`} label="Table of images" columns=${COLUMNS} compact=${Boolean(row)} total=${total} row=${draw} onRange=${onRange}
          rowProps=${(index) => ({ class: open === index ? "chosen" : "", onClick: (event) => event.target.closest("button, a") || setOpen(index) })} /></div>
        ${row && html`<${Details} key=${row.visit * 1e6 + row.image} row=${row} onClose=${close}
          onStep=${(step) => setOpen((before) => Math.min(Math.max(before + step, 0), rows.rows.length - 1))} />`}
      </div>`}
  </section>`;
}
