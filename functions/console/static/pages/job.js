import { get, request } from "../api.js";
import { csv, downloadList, save } from "../download.js";
import { count, duration, number, percent, rate } from "../format.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { useLoad } from "../live.js";
import { may } from "../session.js";
import { Action, announce, Bar, ErrorBox, Menu, Skeleton, Status, Time, Title } from "../ui.js";
import { Failures } from "./failures.js";
import { Images } from "./images.js";
import { jobTitle } from "./jobs.js";

const POLL_MS = 2000;
const RATE_WINDOW_MS = 30_000;
const CORRECTION = ["store_id", "visit_time", "image_url", "problem"];

// Images per second over the last half minute, and how long the rest takes at that rate.
function useRate({ images, status, run }) {
  const samples = useRef({ run, list: [] });
  if (samples.current.run !== run) samples.current = { run, list: [] };
  const { list } = samples.current;
  const now = performance.now();
  const done = images.total - images.pending;
  if (!list.length || list[list.length - 1].done !== done) list.push({ at: now, done });
  while (list.length > 2 && now - list[0].at > RATE_WINDOW_MS) list.shift();
  if (status !== "ongoing" || list.length < 2) return null;
  const perSecond = ((done - list[0].done) * 1000) / (now - list[0].at);
  return perSecond > 0 ? { perSecond, left: images.pending / perSecond } : null;
}

function Progress({ job }) {
  const { images, visits } = job;
  const speed = useRate(job);
  const done = (images.total - images.pending) / images.total;
  useEffect(() => {
    const text = `${number(images.measured)} measured, ${number(images.failed)} failed, ${number(images.pending)} pending.`;
    announce(job.status === "ongoing" ? `${percent(done)}: ${text}` : `The job has ended: ${text}`, { patient: job.status === "ongoing" });
  }, [images.measured, images.failed, images.pending, job.status]);
  const parts = ["measured", "failed", "pending"].map((kind) => [kind, images[kind] / images.total]);
  let note = job.status === "ongoing" ? "Waiting for the first images" : "";
  if (speed) note = `${rate(speed.perSecond)} images per second, about ${duration(speed.left)} left`;
  else if (job.status === "ongoing" && images.pending < images.total) note = "Waiting for the next images";
  if (job.status === "ongoing" && images.pending === 0) note = "Finishing";
  return html`<section class="card progress-card" aria-label="Progress">
    <div class="progress-line"><strong>${percent(done)}</strong><span class="quiet">${note}</span></div>
    <${Bar} label="Images done" value=${done} parts=${parts} />
    <dl class="counts">
      ${["measured", "failed", "pending"].map((kind) => html`<div key=${kind}><dt><${Status} kind=${kind} /></dt><dd>${number(images[kind])}</dd></div>`)}
      <div><dt>Images</dt><dd>${number(images.total)}</dd></div>
      <div><dt>Visits complete</dt><dd>${number(visits.measured)} <span class="quiet">of ${number(visits.total)}</span></dd></div>
    </dl>
  </section>`;
}

function Facts({ job }) {
  const own = Object.entries(job.metadata).filter(([name]) => name !== "file" && name !== "part");
  return html`<dl class="facts">
    <div><dt>Job</dt><dd><code>${job.job_id}</code></dd></div>
    <div><dt>Submitted</dt><dd><${Time} at=${job.created_at} /></dd></div>
    ${job.ended_at && html`<div><dt>Ended</dt><dd><${Time} at=${job.ended_at} /></dd></div>`}
    <div><dt>Run</dt><dd>${job.run}</dd></div>
    <div><dt>Kept until</dt><dd><${Time} at=${job.expires_at} /></dd></div>
    ${own.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

async function correctionFile(job, onProgress) {
  const rows = [];
  let cursor;
  do {
    const page = await get(`/api/jobs/${job.job_id}/results`, { outcome: "failed", limit: 1000, cursor });
    for (const row of page.results) rows.push([row.store_id, row.visit_time, row.url, `${row.error.code}: ${row.error.message}`]);
    onProgress();
    cursor = page.next_cursor;
  } while (cursor);
  save(`${baseName(job)}-to-correct.csv`, [csv(CORRECTION, rows)]);
}

const baseName = (job) => (job.metadata.file ?? `job-${job.job_id}`).replace(/\.\w+$/, "").replace(/[^\w.-]+/g, "-");

function Downloads({ job, onError }) {
  const [pages, setPages] = useState(0);
  const path = `/api/jobs/${job.job_id}/results`;
  async function run(action) {
    onError(null);
    setPages(1);
    try {
      await action(() => setPages((read) => read + 1));
      announce("Downloaded.");
    } catch (error) {
      onError(error);
    }
    setPages(0);
  }
  const failed = job.images.failed;
  const items = [
    { text: "All images", hint: `${number(job.images.total)} rows, with sizes and reasons`,
      onClick: () => run((step) => downloadList(`${baseName(job)}.csv`, path, {}, step)) },
    ...(failed ? [
      { text: "Failed images", hint: `${number(failed)} rows, with reasons`,
        onClick: () => run((step) => downloadList(`${baseName(job)}-failed.csv`, path, { outcome: "failed" }, step)) },
      { text: "Rows to correct", hint: "A file of visits to correct and submit again",
        onClick: () => run((step) => correctionFile(job, step)) },
    ] : []),
  ];
  return html`<${Menu} label=${pages ? `Reading page ${pages}…` : "Download CSV"} items=${items} />`;
}

function whyNoRetry(job) {
  if (!may("submit")) return "This key has no scope “submit”.";
  if (job.status === "ongoing") return "A run is under way.";
  return job.images.failed ? "" : "No image has failed.";
}

function Actions({ job, onReopened }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  async function retry() {
    setBusy(true);
    setError(null);
    try {
      await request(`/api/jobs/${job.job_id}/retry`, { method: "POST" });
      announce("The failed images are measured again.");
      onReopened();
    } catch (found) {
      setError(found);
    }
    setBusy(false);
  }
  const why = whyNoRetry(job);
  return html`<div class="actions">
      ${(job.images.failed > 0 || job.run > 1) && html`<${Action} onClick=${retry} why=${why} busy=${busy}>Retry failed images</${Action}>`}
      <${Downloads} job=${job} onError=${setError} />
    </div>
    ${error && html`<${ErrorBox} error=${error} title="This did not work" />`}`;
}

export default function Job({ id, query }) {
  const load = (signal) => get(`/api/jobs/${id}`, {}, signal);
  const { data: job, error, again } = useLoad("job", load, [id], (found) => (found.status === "ongoing" ? POLL_MS : 0));
  const [isReady, setIsReady] = useState(false);
  const name = job ? jobTitle(job) : `Job ${id}`;
  return html`<main id="main">
    <p class="back"><a href="#/jobs">Jobs</a></p>
    <div class="heading">
      <div class="named"><${Title} name=${name} />${job && html`<${Status} kind=${job.status} />`}</div>
      ${job && html`<${Actions} job=${job} onReopened=${again} />`}
    </div>
    ${error && html`<${ErrorBox} error=${error} title="The job could not be loaded" onRetry=${again} />`}
    ${!job && !error && html`<${Skeleton} rows=${12} />`}
    ${job && html`
      <${Facts} job=${job} />
      <${Progress} job=${job} />
      <${Failures} job=${job} onReady=${() => setIsReady(true)} />
      <${Images} job=${job} query=${query} hidden=${!isReady} />`}
  </main>`;
}
