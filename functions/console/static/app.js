// The frame of all pages: who is signed in, which page is shown, and the keyboard.
import { html, render, useEffect, useRef, useState } from "./lib.js";
import Job from "./pages/job.js";
import Jobs from "./pages/jobs.js";
import SignIn from "./pages/signin.js";
import { go, route } from "./router.js";
import { may, offlineSince, session, signOut } from "./session.js";
import { useStore } from "./state.js";
import { Announcer, Empty, ErrorBox, Offline, Skeleton, Title } from "./ui.js";

// Pages that few visits need, with their libraries.
const LATER = { new: () => import("./pages/new.js"), reports: () => import("./pages/reports.js") };

function LaterPage({ name, ...rest }) {
  const [page, setPage] = useState(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    LATER[name]().then((module) => setPage(() => module.default), (error) => setPage(error));
  }, [attempt]);
  if (page instanceof Error) {
    return html`<main id="main"><${Title} name="Console" />
      <${ErrorBox} error=${page} title="This page could not be loaded; the console may have been updated" onRetry=${() => location.reload()} /></main>`;
  }
  return page ? html`<${page} ...${rest} />` : html`<main id="main"><${Skeleton} /></main>`;
}

function NotFound() {
  return html`<main id="main"><${Title} name="No such page" /><p><a href="#/jobs">Show the jobs</a></p></main>`;
}

function NoRead({ name }) {
  return html`<main id="main"><${Title} name=${name} />
    <${Empty} title="This key cannot read">
      <p>It has no scope “read”: it can submit jobs, but not show them. Sign in with a key that has both scopes to follow a job.</p>
      <p><a class="button primary" href="#/new">New submission</a></p>
    </${Empty}></main>`;
}

function Page({ path: [first = "jobs", second, ...rest], query }) {
  if (!may("read") && first !== "new") return html`<${NoRead} key=${first} name=${first === "reports" ? "Reports" : "Jobs"} />`;
  if (first === "jobs" && second === undefined) return html`<${Jobs} key="jobs" query=${query} />`;
  if (first === "jobs" && /^\d{1,16}$/.test(second) && !rest.length) return html`<${Job} key=${second} id=${second} query=${query} />`;
  if (first in LATER && second === undefined) return html`<${LaterPage} key=${first} name=${first} query=${query} />`;
  return html`<${NotFound} key=${`${first}/${second}`} />`;
}

const KEYS = [
  ["/", "Go to the filter"],
  ["n", "New submission"],
  ["j", "Jobs"],
  ["r", "Reports"],
  ["?", "This help"],
  ["Esc", "Close what is open"],
  ["↑ ↓", "Previous and next image, in a preview"],
];

function Help({ onClose }) {
  const ref = useRef(null);
  useEffect(() => ref.current.showModal(), []);
  return html`<dialog ref=${ref} onClose=${onClose} aria-labelledby="help" onClick=${(event) => event.target === ref.current && ref.current.close()}>
    <div class="inner"><h2 id="help">Keyboard</h2>
      <dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <p><a href="/docs">The API’s description</a> · <a href="/docs/errors">Codes of errors</a>${" · "}
        <a href=${new URL("./vendor/licenses.txt", import.meta.url).pathname}>Licences</a></p>
      <p class="end"><button type="button" onClick=${() => ref.current.close()} autofocus>Close</button></p></div>
  </dialog>`;
}

function useShortcuts(isSignedIn, showHelp) {
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.target.closest?.("input, select, textarea, dialog")) return;
      const filter = document.querySelector("[data-filter]");
      const actions = { "?": showHelp };
      if (isSignedIn) Object.assign(actions, { n: () => go("new"), j: () => go("jobs"), r: () => go("reports"), "/": () => filter?.focus() });
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [isSignedIn]);
}

function Header({ path, account, showHelp }) {
  const here = path[0] ?? "jobs";
  const link = (name, text, more = "") => html`<li><a class=${more} href=${`#/${name}`} aria-current=${here === name ? "page" : undefined}>${text}</a></li>`;
  return html`<header class="top"><div class="inner">
    <a class="brand" href="#/jobs"><svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true"><rect width="16" height="16" rx="4" /><path d="M2.5 8.5h2.6l1.7-4 2.6 7 1.7-3h2.4" /></svg><span>Retail Pulse</span></a>
    ${account.key && html`<nav aria-label="Pages"><ul>${link("jobs", "Jobs")}${link("reports", "Reports")}${link("new", "New submission")}</ul></nav>`}
    <div class="who">
      <button type="button" class="plain" aria-label="Help" title="Keyboard (?)" onClick=${showHelp}>?</button>
      ${account.key && html`<span class="account" title="Scopes of this API key"><strong>${account.client || "Your key"}</strong>
        <span class="quiet">${account.scopes.join(", ")}</span></span>
        <button type="button" onClick=${signOut}>Sign out</button>`}
    </div>
  </div></header>`;
}

function App() {
  const { path, query } = useStore(route);
  const account = useStore(session);
  const since = useStore(offlineSince);
  const [help, setHelp] = useState(false);
  const showHelp = () => setHelp(true);
  useShortcuts(Boolean(account.key), showHelp);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("h1")?.focus(); }}>Skip to the content</a>
    <${Header} path=${path} account=${account} showHelp=${showHelp} />
    ${since && html`<${Offline} since=${since} />`}
    ${account.key ? html`<${Page} path=${path} query=${query} />` : html`<${SignIn} hasPlace=${path.length > 0} />`}
    <${Announcer} />
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}`;
}

render(html`<${App} />`, document.getElementById("app"));
