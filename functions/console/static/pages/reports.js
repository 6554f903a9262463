import { get } from "../api.js";
import { Chart } from "../chart.js";
import { downloadList } from "../download.js";
import { count, number } from "../format.js";
import { html, useMemo, useState } from "../lib.js";
import { useLoad } from "../live.js";
import { href, refine } from "../router.js";
import { VirtualTable } from "../table.js";
import { Action, announce, Empty, ErrorBox, Skeleton, TextFilter, Time, Title } from "../ui.js";

const LINES = 8;
const PAGE = 1000;
// Visits that are read before the reader asks for more.
const VISITS_AT_ONCE = 2000;
const COLUMNS = [
  { name: "store", title: "Store", width: "120px", narrow: "104px" },
  { name: "name", title: "Name", wide: true },
  { name: "area", title: "Area", width: "104px", wide: true },
  { name: "date", title: "Visit", width: "180px", narrow: "128px" },
  { name: "perimeter", title: "Perimeter", width: "112px", narrow: "auto", class: "numeric" },
];

function Filters({ query, stores }) {
  const areas = [...new Set(stores.map(({ area }) => area))].sort();
  const set = (name) => (event) => refine({ [name]: event.currentTarget.value });
  return html`<form class="filters" role="search" aria-label="Filter visits" onSubmit=${(event) => event.preventDefault()}>
    <${TextFilter} label="Area" value=${query.area ?? ""} data-filter list="areas" placeholder="All areas" onChange=${(area) => refine({ area }, { replace: true })} />
    <${TextFilter} label="Store" value=${query.store ?? ""} list="stores" placeholder="All stores" onChange=${(store) => refine({ store }, { replace: true })} />
    <label class="field">From<input type="date" value=${query.from ?? ""} max=${query.to} onChange=${set("from")} /></label>
    <label class="field">To<input type="date" value=${query.to ?? ""} min=${query.from} onChange=${set("to")} /></label>
    ${(query.area || query.store || query.from || query.to) && html`<a class="clear" href="#/reports">Clear filters</a>`}
    <datalist id="areas">${areas.map((area) => html`<option key=${area} value=${area} />`)}</datalist>
    <datalist id="stores">${stores.slice(0, 500).map(({ store_id, store_name }) => html`<option key=${store_id} value=${store_id}>${store_name}</option>`)}</datalist>
  </form>`;
}

function merge(stores, page) {
  for (const { data, ...store } of page) {
    const known = stores.get(store.store_id);
    if (known) known.data.push(...data);
    else stores.set(store.store_id, { ...store, data: [...data] });
  }
}

// The stores with the most dated visits, as lines.
function linesOf(stores) {
  const dated = stores.map((store) => ({ ...store, data: store.data.filter(({ date }) => date) })).filter(({ data }) => data.length);
  dated.sort((a, b) => b.data.length - a.data.length);
  return { amount: dated.length, lines: dated.slice(0, LINES).map(({ store_id, data }) => ({
    name: store_id, points: data.map(({ date, perimeter }) => [Date.parse(date) / 1000, perimeter]),
  })) };
}

function Report({ data, parameters, onMore, busy }) {
  const [error, setError] = useState(null);
  const [pages, setPages] = useState(0);
  const { lines, amount } = useMemo(() => linesOf(data.stores), [data]);
  const rows = useMemo(() => data.stores.flatMap((store) => store.data.map((visit) => ({ store, visit }))), [data]);
  async function download() {
    setError(null);
    setPages(1);
    try {
      await downloadList("visits.csv", "/api/visits", parameters, setPages);
      announce("Downloaded.");
    } catch (found) {
      setError(found);
    }
    setPages(0);
  }
  const draw = (index) => {
    const { store, visit } = rows[index];
    return {
      store: html`<a href=${href("reports", { ...parametersToQuery(parameters), store: store.store_id })}>${store.store_id}</a>`,
      name: html`<span title=${store.store_name}>${store.store_name}</span>`,
      area: store.area,
      date: visit.date ? html`<${Time} at=${visit.date} />` : html`<span class="quiet">without a date</span>`,
      perimeter: number(visit.perimeter),
    };
  };
  const more = data.next ? " so far" : "";
  return html`
    ${lines.length > 0 && html`<section class="card chart-card" aria-labelledby="chart">
      <h2 id="chart">Perimeter per visit</h2>
      <${Chart} lines=${lines} label=${`Perimeter per visit over time, of ${count(lines.length, "store")}; the table has the figures.`} />
      ${amount > lines.length && html`<p class="quiet">The ${LINES} stores with the most visits, of ${number(amount)}${more}.</p>`}
    </section>`}
    <section aria-labelledby="visits">
      <div class="subheading"><h2 id="visits">${count(rows.length, "visit")}<span class="quiet"> of ${count(data.stores.length, "store")}${more}</span></h2>
        <${Action} onClick=${download} busy=${pages > 0}>${pages ? `Reading page ${pages}…` : "Download CSV"}</${Action}></div>
      ${error && html`<${ErrorBox} error=${error} title="The file could not be made" onRetry=${download} />`}
      <div class="card" aria-busy=${busy}><${VirtualTable} label="Table of visits" columns=${COLUMNS} total=${rows.length} row=${draw} /></div>
      ${data.next && html`<p class="more"><button type="button" onClick=${onMore} disabled=${busy}>Show more visits</button></p>`}
    </section>`;
}

const parametersToQuery = ({ area, storeid, startdate, enddate }) => ({ area, store: storeid, from: startdate, to: enddate });

export default function Reports({ query }) {
  const parameters = { area: query.area, storeid: query.store, startdate: query.from, enddate: query.to };
  const key = JSON.stringify(parameters);
  const [asked, setAsked] = useState({ key, times: 1 });
  const times = asked.key === key ? asked.times : 1;

  async function load(signal, _before, show) {
    const stores = new Map();
    let next;
    let visits = 0;
    do {
      const page = await get("/api/visits", { ...parameters, limit: PAGE, cursor: next }, signal);
      merge(stores, page.results);
      visits += page.results.reduce((sum, { data }) => sum + data.length, 0);
      next = page.next_cursor;
      show({ stores: [...stores.values()], next });
    } while (next && visits < VISITS_AT_ONCE * times);
    announce(`${count(visits, "visit")} of ${count(stores.size, "store")}.`);
    return { stores: [...stores.values()], next };
  }

  const { data, error, busy, again } = useLoad("reports", load, [key, times]);
  const isFiltered = Boolean(query.area || query.store || query.from || query.to);
  const isEmpty = data && data.stores.length === 0 && !error;
  return html`<main id="main">
    <div class="heading"><${Title} name="Reports" /></div>
    <${Filters} query=${query} stores=${data?.stores ?? []} />
    ${error && html`<${ErrorBox} error=${error} title="The report could not be made" onRetry=${again} />`}
    ${(!data || (isEmpty && busy)) && !error && html`<${Skeleton} />`}
    ${isEmpty && !busy && (isFiltered
      ? html`<${Empty} title="No visit matches these filters"><p><a href="#/reports">Show all visits</a></p></${Empty}>`
      : html`<${Empty} title="No visits yet"><p>A visit is here when all of its images are measured.</p><p><a class="button primary" href="#/new">New submission</a></p></${Empty}>`)}
    ${data && !isEmpty && !error && html`<${Report} data=${data} parameters=${parameters} busy=${busy} onMore=${() => setAsked({ key, times: times + 1 })} />`}
  </main>`;
}
