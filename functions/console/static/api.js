// Requests to the API, and its errors.
import { offlineSince, refuse, session } from "./session.js";

const TIMEOUT_MS = 35_000;
// What API Gateway or the table refuse for a moment; reads are repeated.
const RETRY_AFTER_MS = [800, 2000, 4000];

export class ApiError extends Error {
  constructor(text, { status = 0, code = "", requestId = "", retryAfter = null, problems = [] } = {}) {
    super(text);
    Object.assign(this, { status, code, requestId, retryAfter, problems });
  }

  get isOffline() {
    return this.status === 0;
  }

  // API Gateway refuses a key without a code; a function refuses a scope with one.
  get isKeyRefused() {
    return this.status === 401 || (this.status === 403 && !this.code);
  }

  get isTransient() {
    return this.isOffline || this.status === 503 || this.status === 502 || (this.status === 429 && !this.code);
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function query(parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== null && value !== undefined) search.set(name, value);
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

async function errorOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON: the status has to do.
  }
  const text = body.error ?? body.detail ?? body.message ?? `The service answered ${response.status}.`;
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  return new ApiError(text, {
    status: response.status,
    code: body.code ?? "",
    requestId: body.request_id ?? response.headers.get("apigw-requestid") ?? "",
    retryAfter,
    problems: body.errors ?? [],
  });
}

async function send(path, { method = "GET", body, headers = {}, signal, key }) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  signal?.addEventListener("abort", abort);
  const timer = setTimeout(abort, TIMEOUT_MS);
  try {
    const response = await fetch(path, {
      method,
      body,
      headers: { "x-api-key": key ?? session.get().key ?? "", ...headers },
      signal: controller.signal,
      cache: "no-store",
      credentials: "omit",
    });
    if (!response.ok) throw await errorOf(response);
    const text = await response.text();
    offlineSince.set(null);
    return { response, text };
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof ApiError) {
      offlineSince.set(null);
      throw error;
    }
    if (!offlineSince.get()) offlineSince.set(new Date());
    throw new ApiError("The service cannot be reached.");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

// Returns the response and its text. With a key of its own, a refusal does not end the session.
export async function request(path, options = {}) {
  const isRead = (options.method ?? "GET") === "GET";
  for (let attempt = 0; ; attempt++) {
    try {
      return await send(path, options);
    } catch (error) {
      if (error instanceof ApiError && error.isKeyRefused && !options.key) refuse();
      const again = isRead && error.isTransient && !error.isOffline && attempt < RETRY_AFTER_MS.length;
      if (!again || options.signal?.aborted) throw error;
      await pause(RETRY_AFTER_MS[attempt]);
    }
  }
}

export async function get(path, parameters = {}, signal) {
  const { text } = await request(path + query(parameters), { signal });
  return JSON.parse(text);
}

// Returns the first page from a cursor on that has rows, or the last one: a filter can leave a page empty.
export async function getRows(path, list, parameters, signal) {
  for (let { cursor } = parameters; ; ) {
    const page = await get(path, { ...parameters, cursor }, signal);
    if (page[list].length || !page.next_cursor) return { rows: page[list], next: page.next_cursor };
    cursor = page.next_cursor;
  }
}

export async function checkKey(key) {
  try {
    const { text } = await request("/api/usage", { key });
    const usage = JSON.parse(text);
    return { client: usage.client, scopes: usage.scopes ?? [], remaining: usage.today.remaining };
  } catch (error) {
    // The key is valid, but may not read.
    if (error.code === "missing_scope") return { client: "", scopes: ["submit"], remaining: null };
    throw error;
  }
}
