// Small components that all pages use.
import { clockTime, fullTime, number, percent, time } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { makeStore, useStore } from "./state.js";
import { OUTCOME, REFUSALS, STATUS } from "./words.js";

const SHAPES = {
  completed: html`<circle cx="6" cy="6" r="6" /><path d="M3.2 6.2l2 2 3.6-4" />`,
  failed: html`<rect x="0.5" y="0.5" width="11" height="11" rx="2.5" /><path d="M3.8 3.8l4.4 4.4M8.2 3.8L3.8 8.2" />`,
  ongoing: html`<circle cx="6" cy="6" r="5" class="ring" /><path d="M6 1a5 5 0 0 1 0 10z" class="half" />`,
  pending: html`<circle cx="6" cy="6" r="5" class="ring" />`,
  warned: html`<path d="M6 0.8l5.6 10.4H0.4z" class="sign" /><path d="M6 4.4v3M6 9.2v.4" />`,
};
const SHAPE_OF = { measured: "completed" };
const WORDS = { ...STATUS, ...OUTCOME };

export function Shape({ kind }) {
  const shape = SHAPE_OF[kind] ?? kind;
  return html`<svg class="shape ${shape}" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">${SHAPES[shape]}</svg>`;
}

export function Status({ kind, word = WORDS[kind] }) {
  return html`<span class="status"><${Shape} kind=${kind} /><span class="word">${word}</span></span>`;
}

export function Time({ at }) {
  return at ? html`<time datetime=${at} title=${fullTime(at)}>${time(at)}</time>` : null;
}

// A bar of a job: what is done in colour, with its value as text for those who do not see it.
export function Bar({ parts, label, value }) {
  return html`<div class="bar" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${Math.floor(value * 100)} aria-valuetext=${percent(value)}>
    ${parts.map(([kind, part]) => part > 0 && html`<span class="part ${kind}" style=${{ width: `${part * 100}%` }} />`)}
  </div>`;
}

export function Skeleton({ rows = 8 }) {
  return html`<div class="skeleton" role="status" aria-label="Loading">
    ${Array.from({ length: rows }, (_, index) => html`<div class="bone" key=${index} />`)}
  </div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

export function errorText(error) {
  if (error.isOffline) return "The service cannot be reached. Check your connection.";
  const wait = error.retryAfter && error.retryAfter < 3600 ? ` It is possible again in ${number(error.retryAfter)} s.` : "";
  const own = REFUSALS[error.code];
  return own ? own + wait : (error.status ? error.message : "The console has failed. Reload the page.");
}

// Refusals whose own text has figures or places that the reader needs.
const DETAILED = ["invalid_request", "body_too_large", "daily_limit_reached"];

// What failed, the request's id, and a way on.
export function ErrorBox({ error, title = "This could not be loaded", onRetry }) {
  const detail = DETAILED.includes(error.code) ? error.message : "";
  return html`<div class="notice failed" role="alert">
    <${Shape} kind="failed" />
    <div>
      <strong>${title}.</strong> ${errorText(error)}
      ${detail && html`<p class="quiet">${detail}</p>`}
      ${error.requestId && html`<p class="quiet">Request id <code>${error.requestId}</code></p>`}
    </div>
    ${onRetry && html`<button type="button" onClick=${onRetry}>Try again</button>`}
  </div>`;
}

export function Notice({ kind = "warned", children }) {
  return html`<div class="notice ${kind}"><${Shape} kind=${kind} /><div>${children}</div></div>`;
}

// A button that stays focusable when it cannot be used, and says why.
export function Action({ onClick, why = "", primary = false, busy = false, children, ...rest }) {
  const id = useRef(`why-${Math.random().toString(36).slice(2)}`).current;
  const off = Boolean(why) || busy;
  return html`<span class="action">
    <button type="button" class=${primary ? "primary" : ""} aria-disabled=${off ? "true" : undefined}
      aria-describedby=${why ? id : undefined} title=${why || undefined} ...${rest}
      onClick=${(event) => (off ? event.preventDefault() : onClick(event))}>${children}</button>
    ${why && html`<span class="why" id=${id}>${why}</span>`}
  </span>`;
}

export function Menu({ label, items }) {
  const ref = useRef(null);
  const close = () => {
    ref.current.open = false;
  };
  useEffect(() => {
    const outside = (event) => {
      if (ref.current?.open && !ref.current.contains(event.target)) close();
    };
    document.addEventListener("click", outside);
    return () => document.removeEventListener("click", outside);
  }, []);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !ref.current.open) return;
    event.stopPropagation();
    close();
    ref.current.querySelector("summary").focus();
  };
  return html`<details class="menu" ref=${ref} onKeyDown=${onKeyDown}>
    <summary class="button">${label}<svg viewBox="0 0 10 6" width="10" height="6" aria-hidden="true"><path d="M1 1l4 4 4-4" /></svg></summary>
    <ul>${items.map(({ text, hint, onClick }) => html`<li key=${text}>
      <button type="button" onClick=${() => { close(); onClick(); }}>${text}${hint && html`<small>${hint}</small>`}</button>
    </li>`)}</ul>
  </details>`;
}

// The title of a page, which gets the focus after a navigation.
export function Title({ children, name }) {
  const ref = useRef(null);
  useEffect(() => {
    document.title = `${name} · Retail Pulse`;
  }, [name]);
  // Before a key can be pressed, whose focus it would take away.
  useLayoutEffect(() => {
    ref.current.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, []);
  return html`<h1 tabindex="-1" ref=${ref}>${children ?? name}</h1>`;
}

const spoken = makeStore("");
let lastSpoken = 0;

// Tells screen readers; `patient` news not more often than every 10 s.
export function announce(text, { patient = false } = {}) {
  const now = Date.now();
  if (patient && now - lastSpoken < 10_000) return;
  lastSpoken = now;
  spoken.set(text);
}

export function Announcer() {
  return html`<p class="hidden" role="status" aria-live="polite">${useStore(spoken)}</p>`;
}

export function Offline({ since }) {
  return html`<div class="offline" role="status"><${Shape} kind="warned" />
    No connection since ${clockTime(since)}. What you see is from before; the console keeps trying.</div>`;
}

// A text field that reports when its reader pauses or presses Enter.
export function TextFilter({ label, value, onChange, ...rest }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const report = (next) => {
    clearTimeout(timer.current);
    if (next.trim() !== value) onChange(next.trim());
  };
  const onInput = ({ currentTarget }) => {
    const next = currentTarget.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(report, 500, next);
  };
  return html`<label class="field">${label}
    <input type="text" autocomplete="off" spellcheck=${false} value=${text} onInput=${onInput}
      onKeyDown=${(event) => event.key === "Enter" && report(event.currentTarget.value)} ...${rest} />
  </label>`;
}
