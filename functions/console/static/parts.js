// Splits visits into parts that the service accepts, each one job, and names each part.
import { breath, bytesOf, ROWS_AT_ONCE } from "./visits.js";

const MAX_IMAGES = 50_000;
const MAX_BODY_BYTES = 5_000_000;

function* pieces(visit, maxBytes) {
  const around = bytesOf(JSON.stringify({ ...visit, image_url: [] }));
  let urls = [];
  let size = around;
  for (const url of visit.image_url) {
    const length = bytesOf(JSON.stringify(url)) + 1;
    if (urls.length && (urls.length === MAX_IMAGES || size + length >= maxBytes)) {
      yield [{ ...visit, image_url: urls }, size];
      urls = [];
      size = around;
    }
    urls.push(url);
    size += length;
  }
  yield [{ ...visit, image_url: urls }, size];
}

// Splits visits into parts that the service accepts. A visit is in one part, unless it is larger than a part.
export async function split(visits, metadataBytes = 300) {
  const maxBytes = MAX_BODY_BYTES - 60 - metadataBytes;
  const parts = [];
  let current = { visits: [], images: 0 };
  let size = 0;
  let done = 0;
  for (const visit of visits) {
    for (const [piece, length] of pieces(visit, maxBytes)) {
      const images = piece.image_url.length;
      if (current.visits.length && (current.images + images > MAX_IMAGES || size + length + 1 > maxBytes)) {
        parts.push(current);
        current = { visits: [], images: 0 };
        size = 0;
      }
      current.visits.push(piece);
      current.images += images;
      size += length + 1;
    }
    if (++done % ROWS_AT_ONCE === 0) await breath();
  }
  return current.visits.length ? [...parts, current] : parts;
}

export function bodyOf(part, metadata) {
  return JSON.stringify({ count: part.visits.length, visits: part.visits, metadata });
}

// The same content has the same name, so that nothing is submitted twice; `salt` makes it another submission.
export async function keyOf(body, number, parts, salt = "") {
  if (!globalThis.crypto?.subtle) return `console-${salt}-${number}-${parts}`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(salt + body)));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `console-${hex.slice(0, 48)}-${number}-${parts}`;
}
