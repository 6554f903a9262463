import { checkKey } from "../api.js";
import { html, useEffect, useRef, useState } from "../lib.js";
import { session, signIn } from "../session.js";
import { useStore } from "../state.js";
import { announce, errorText, Notice, Title } from "../ui.js";

export default function SignIn({ hasPlace }) {
  const { refused } = useStore(session);
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  // After the title, which takes the focus first: the only thing to do here is to enter the key.
  useEffect(() => field.current.focus(), []);

  async function submit(event) {
    event.preventDefault();
    const text = key.trim();
    if (busy) return;
    if (!/^[!-~]{1,128}$/.test(text)) {
      setError(text ? "This is not an API key. A key has no blanks and no accented letters." : "Enter your API key.");
      return;
    }
    setBusy(true);
    setError("");
    try {
      signIn(text, await checkKey(text));
      announce("Signed in.");
    } catch (found) {
      setBusy(false);
      setError(found.isKeyRefused ? "This key is not valid: it is mistyped, has expired or was revoked." : errorText(found));
    }
  }

  return html`<main class="signin" id="main">
    <${Title} name="Sign in" />
    ${refused && html`<${Notice}>Your API key is no longer accepted: it has expired or was revoked.
      ${hasPlace && " Sign in with another one to go back to where you were."}</${Notice}>`}
    <form onSubmit=${submit} novalidate>
      <label class="field" for="key">API key</label>
      <div class="joined">
        <input id="key" name="key" ref=${field} type="password" autocomplete="off" spellcheck=${false} value=${key}
          aria-invalid=${error ? "true" : undefined} aria-describedby="key-error key-hint"
          onInput=${(event) => setKey(event.currentTarget.value)} />
        <button type="submit" class="primary" aria-disabled=${busy ? "true" : undefined}>${busy ? "Checking…" : "Sign in"}</button>
      </div>
      <p id="key-error" class="invalid" role="alert">${error}</p>
    </form>
    <p class="quiet" id="key-hint">The key stays in this tab, and is forgotten when you close it.
      Whoever runs this service can give you one. <a href="/docs">What else can I do with a key?</a></p>
  </main>`;
}
