// Loading: of a page's data, again while something runs, and of long lists page by page.
import { ApiError, getRows } from "./api.js";
import { useEffect, useRef, useState } from "./lib.js";
import { session } from "./session.js";

const HIDDEN_FACTOR = 5;
const AFTER_ERROR_MS = 5000;
export const PAGE_ROWS = 500;

// What pages showed last, so that going back is instant, and possible without a connection.
const KEPT = 30;
const kept = new Map();
session.subscribe(({ key }) => key || kept.clear());

function keep(name, data) {
  kept.delete(name);
  kept.set(name, data);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
}

// Loads now, when `deps` change, and every so many milliseconds that `every` says of the data; 0 stops it.
// `name` and `deps` say what is loaded. A load of many parts may show what it has so far.
export function useLoad(name, load, deps, every = () => 0) {
  const id = JSON.stringify([name, deps]);
  const [state, setState] = useState({ data: kept.get(id), error: null, busy: true });
  const again = useRef(() => {});
  useEffect(() => {
    const controller = new AbortController();
    let timer = 0;
    let running = false;
    let current = kept.get(id);
    const schedule = (ms) => {
      if (ms) timer = setTimeout(run, document.hidden ? ms * HIDDEN_FACTOR : ms);
    };
    async function run() {
      if (running) return;
      running = true;
      clearTimeout(timer);
      timer = 0;
      try {
        const show = (data) => controller.signal.aborted || setState({ data, error: null, busy: true });
        current = await load(controller.signal, current, show);
        if (controller.signal.aborted) return;
        keep(id, current);
        setState({ data: current, error: null, busy: false });
        schedule(every(current));
      } catch (error) {
        if (controller.signal.aborted) return;
        if (!(error instanceof ApiError)) console.error(error);
        setState((before) => ({ ...before, error, busy: false }));
        if (error.isTransient) schedule(AFTER_ERROR_MS);
      } finally {
        running = false;
      }
    }
    const wake = () => {
      if (!document.hidden && timer) run();
    };
    again.current = run;
    setState((before) => ({ data: current ?? before.data, error: null, busy: true }));
    run();
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", wake);
    return () => {
      controller.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", wake);
    };
  }, deps);
  return { ...state, again: () => again.current() };
}

// A long list that grows while it is scrolled; `get(index)` is undefined for a row that is not loaded yet.
export class RowList {
  constructor(path, list, parameters, onChange) {
    Object.assign(this, { path, list, parameters, onChange });
    this.controller = new AbortController();
    this.pages = [];
    this.rows = [];
    this.next = undefined;
    this.wanted = 0;
    this.loading = false;
    this.error = null;
  }

  get done() {
    return this.next === null;
  }

  get(index) {
    return this.rows[index];
  }

  async need(count) {
    this.wanted = Math.max(this.wanted, count);
    if (this.loading || this.error) return;
    this.loading = true;
    try {
      while (this.rows.length < this.wanted && !this.done) {
        // What changes while the page is on its way is not in it.
        const { next: cursor, version } = this;
        const page = await this._page(cursor);
        this.pages.push({ cursor, start: this.rows.length, length: page.rows.length, version });
        for (const row of page.rows) this.rows.push(row);
        this.next = page.next;
        this.onChange();
      }
    } catch (error) {
      if (this.controller.signal.aborted) return;
      this.error = error;
      this.onChange();
    } finally {
      this.loading = false;
    }
    if (this.shown && this._stale()) this.refresh(...this.shown);
  }

  retry() {
    this.error = null;
    this.onChange();
    this.need(this.wanted);
  }

  // Says that the rows have changed. An unfiltered list keeps its places, so its pages are read again when they are shown;
  // a filtered one is read from its beginning, and shown when it is complete.
  async change(version, isFiltered, isLast) {
    if (this.version === version) return;
    const isFirst = this.version === undefined;
    this.version = version;
    if (isFirst || !isFiltered || this.error || (this.rows.length > PAGE_ROWS && !isLast)) return;
    while (this.loading) await new Promise((resolve) => setTimeout(resolve, 50));
    if (this.version !== version || this.controller.signal.aborted) return;
    const fresh = new RowList(this.path, this.list, this.parameters, () => {});
    fresh.controller = this.controller;
    this.loading = true;
    await fresh.need(Math.max(this.rows.length, 1));
    this.loading = false;
    if (fresh.error || this.controller.signal.aborted) return;
    Object.assign(this, { pages: fresh.pages, rows: fresh.rows, next: fresh.next });
    this.onChange();
  }

  // Reads the pages again that are shown and whose rows have changed; while a page is loading, afterwards.
  async refresh(first, last) {
    this.shown = [first, last];
    if (this.loading || this.error) return;
    this.loading = true;
    try {
      for (let page = this._stale(); page; page = this._stale()) {
        page.version = this.version;
        const { rows } = await this._page(page.cursor);
        rows.slice(0, page.length).forEach((row, index) => {
          this.rows[page.start + index] = row;
        });
        this.onChange();
      }
    } catch {
      // The rows stay as they are; the job's own request says that the service is away.
    } finally {
      this.loading = false;
    }
    this.need(this.wanted);
  }

  _stale() {
    const [first, last] = this.shown;
    return this.pages.find(({ version, start, length }) => version !== this.version && start <= last && start + length > first);
  }

  _page(cursor) {
    return getRows(this.path, this.list, { ...this.parameters, limit: PAGE_ROWS, cursor }, this.controller.signal);
  }

  end() {
    this.controller.abort();
  }
}

export function useRowList(path, list, parameters, deps) {
  const [, setChanges] = useState(0);
  const ref = useRef(null);
  const key = JSON.stringify([path, parameters, deps]);
  if (ref.current?.key !== key) {
    ref.current?.rows.end();
    ref.current = { key, rows: new RowList(path, list, parameters, () => setChanges((changes) => changes + 1)) };
  }
  const { rows } = ref.current;
  useEffect(() => {
    rows.need(1);
  }, [rows]);
  useEffect(() => () => ref.current.rows.end(), []);
  return rows;
}
