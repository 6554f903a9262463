// Who uses the console: the API key, which stays in this tab, and what the API says of it.
import { makeStore } from "./state.js";

const ITEM = "retail-pulse";

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(ITEM)) ?? {};
  } catch {
    return {};
  }
}

// key, client, scopes, remaining; and `refused` after the API has refused the key.
export const session = makeStore(stored());
// When the last request did not reach the API; null while it answers.
export const offlineSince = makeStore(null);

function keep(value) {
  session.set(value);
  const { refused, ...rest } = value;
  if (rest.key) sessionStorage.setItem(ITEM, JSON.stringify(rest));
  else sessionStorage.removeItem(ITEM);
}

export function signIn(key, account) {
  keep({ key, ...account });
}

export function updateAccount(account) {
  keep({ ...session.get(), ...account });
}

export function signOut() {
  keep({});
}

export function refuse() {
  if (session.get().key) keep({ refused: true });
}

export function may(scope) {
  const { scopes = [] } = session.get();
  return scopes.includes(scope) || scopes.includes("admin");
}
