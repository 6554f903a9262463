import { get, getRows } from "../api.js";
import { count, dayStart, number, percent } from "../format.js";
import { html, useEffect, useState } from "../lib.js";
import { useLoad } from "../live.js";
import { href, refine } from "../router.js";
import { may } from "../session.js";
import { Action, announce, Bar, Empty, ErrorBox, Skeleton, Status, Time, Title } from "../ui.js";
import { STATUS } from "../words.js";

const POLL_MS = 2000;
const PAGE = 50;
// What is known of failed jobs, by job and run: the list has no counts of failures.
const failures = new Map();

export const jobTitle = ({ metadata, job_id }) => {
  const name = metadata.file || `Job ${job_id}`;
  return metadata.part ? `${name} (${metadata.part})` : name;
};

function FailedImages({ job }) {
  const id = `${job.job_id} ${job.run}`;
  const [found, setFound] = useState(failures.get(id));
  useEffect(() => {
    if (failures.has(id)) return setFound(failures.get(id));
    const controller = new AbortController();
    get(`/api/jobs/${job.job_id}`, {}, controller.signal).then((details) => {
      failures.set(id, details);
      setFound(details);
    }, () => {});
    return () => controller.abort();
  }, [id]);
  if (!found) return html`<span class="quiet">Some images failed</span>`;
  return html`<span>${count(found.images.failed, "image")} failed in ${count(found.visits.failed, "visit")}</span>`;
}

function Row({ job }) {
  const isFailed = job.status === "failed";
  return html`<tr>
    <td><${Status} kind=${job.status} /></td>
    <td class="time"><${Time} at=${job.created_at} /></td>
    <td class="name"><a href=${href(`jobs/${job.job_id}`)}>${jobTitle(job)}</a></td>
    <td class="numeric wide">${number(job.visits)}</td>
    <td class="numeric">${number(job.images)}</td>
    <td class="progress">${isFailed
      ? html`<${FailedImages} job=${job} />`
      : html`<${Bar} label=${`Progress of ${jobTitle(job)}`} value=${job.progress} parts=${[[job.status === "completed" ? "measured" : "running", job.progress]]} />
        <span class="numeric">${percent(job.progress)}</span>`}</td>
  </tr>`;
}

function Filters({ query }) {
  const set = (name) => (event) => refine({ [name]: event.currentTarget.value });
  return html`<form class="filters" role="search" aria-label="Filter jobs" onSubmit=${(event) => event.preventDefault()}>
    <label class="field">Status
      <select data-filter value=${query.status ?? ""} onChange=${set("status")}>
        <option value="">All</option>
        ${Object.entries(STATUS).map(([value, word]) => html`<option key=${value} value=${value} selected=${query.status === value}>${word}</option>`)}
      </select>
    </label>
    <label class="field">From<input type="date" value=${query.from ?? ""} max=${query.to} onChange=${set("from")} /></label>
    <label class="field">To<input type="date" value=${query.to ?? ""} min=${query.from} onChange=${set("to")} /></label>
    ${(query.status || query.from || query.to) && html`<a class="clear" href="#/jobs">Clear filters</a>`}
  </form>`;
}

function Nothing({ isFiltered }) {
  if (isFiltered) {
    return html`<${Empty} title="No job matches these filters"><p><a href="#/jobs">Show all jobs</a></p></${Empty}>`;
  }
  return html`<${Empty} title="No jobs yet">
    <p>A job measures the photos of one file of store visits. Submit a spreadsheet saved as CSV, and watch it here.</p>
    <p><a class="button primary" href="#/new">New submission</a></p>
  </${Empty}>`;
}

export default function Jobs({ query }) {
  const filters = { status: query.status, from: dayStart(query.from), to: dayStart(query.to, 1), limit: PAGE };
  const key = JSON.stringify(filters);
  const [older, setOlder] = useState({ key, pages: 0 });
  const wanted = older.key === key ? older.pages : 0;

  // Reads the first page again, and those with jobs that run; the others do not change.
  async function load(signal, before) {
    const pages = [];
    let cursor;
    for (let index = 0; index <= wanted; index++) {
      const kept = before?.key === key ? before.pages[index] : undefined;
      const runs = kept?.rows.some(({ status }) => status === "ongoing");
      const isKept = index > 0 && kept && kept.cursor === cursor && !runs;
      const page = isKept ? kept : { cursor, ...(await getRows("/api/jobs", "jobs", { ...filters, cursor }, signal)) };
      pages.push(page);
      if (!page.next) break;
      cursor = page.next;
    }
    return { key, pages };
  }

  const running = (data) => data.pages.some(({ rows }) => rows.some(({ status }) => status === "ongoing"));
  const { data, error, busy, again } = useLoad("jobs", load, [key, wanted], (found) => (running(found) ? POLL_MS : 0));
  const jobs = data ? data.pages.flatMap(({ rows }) => rows) : [];
  const ongoing = jobs.filter(({ status }) => status === "ongoing").length;
  useEffect(() => {
    if (data) announce(ongoing ? `${count(ongoing, "job")} ongoing.` : "No job is running.", { patient: true });
  }, [ongoing, Boolean(data)]);

  return html`<main id="main">
    <div class="heading">
      <${Title} name="Jobs" />
      ${may("submit") ? html`<a class="button primary" href="#/new">New submission</a>`
        : html`<${Action} primary why="This key has no scope “submit”.">New submission</${Action}>`}
    </div>
    <${Filters} query=${query} />
    ${error && html`<${ErrorBox} error=${error} title="The jobs could not be loaded" onRetry=${again} />`}
    ${!data && !error && html`<${Skeleton} />`}
    ${data && jobs.length === 0 && !busy && html`<${Nothing} isFiltered=${Boolean(query.status || query.from || query.to)} />`}
    ${jobs.length > 0 && html`<div class="card scroll" aria-busy=${busy}>
      <table class="jobs">
        <thead><tr>
          <th scope="col">Status</th><th scope="col">Submitted</th><th scope="col">File</th>
          <th scope="col" class="numeric wide">Visits</th><th scope="col" class="numeric">Images</th><th scope="col">Progress</th>
        </tr></thead>
        <tbody>${jobs.map((job) => html`<${Row} key=${job.job_id} job=${job} />`)}</tbody>
      </table>
    </div>
    ${data.pages[data.pages.length - 1].next && html`<p class="more">
      <button type="button" onClick=${() => setOlder({ key, pages: wanted + 1 })} disabled=${busy}>Show older jobs</button></p>`}`}
  </main>`;
}
