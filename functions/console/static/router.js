// The address bar: what is shown is in the fragment, such as #/jobs?status=failed.
import { makeStore } from "./state.js";

function parse() {
  const [path, search = ""] = decodeURI(location.hash.replace(/^#/, "")).split("?");
  return { path: path.split("/").filter(Boolean), query: Object.fromEntries(new URLSearchParams(search)) };
}

function safely() {
  try {
    return parse();
  } catch {
    return { path: [], query: {} };
  }
}

export const route = makeStore(safely());
addEventListener("hashchange", () => route.set(safely()));

export function href(path, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/${path}${search ? `?${search}` : ""}`;
}

export function go(path, query) {
  location.hash = href(path, query);
}

// Changes parts of the query of what is shown. Typing replaces the entry of the history, a choice adds one.
export function refine(changes, { replace = false } = {}) {
  const { path, query } = route.get();
  const target = href(path.join("/"), { ...query, ...changes });
  if (replace) {
    history.replaceState(null, "", target);
    route.set(safely());
  } else {
    location.hash = target;
  }
}
