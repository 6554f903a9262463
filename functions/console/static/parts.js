// Splits visits into parts that the service accepts, each one job, and names them. `pulse` makes the same bytes and keys
// (cli/src/pulse/parts.py and sending.py), so a file that both submit is one job.
import { breath, bytesOf, ROWS_AT_ONCE } from "./visits.js";

const MAX_IMAGES = 50_000;
const MAX_BODY_BYTES = 5_000_000;
const AROUND = '{"count":,"visits":[],"metadata":}'.length + String(MAX_IMAGES).length;
const MAX_PAIRS = 16;
const NAME_CHARACTERS = 100;
// No name takes more bytes as JSON: the parts of a file do not depend on its name.
const LONGEST_NAME = "\0".repeat(NAME_CHARACTERS);

const jsonBytes = (value) => bytesOf(JSON.stringify(value));

// Yields the visit, or pieces of it that each fit into a part, with their sizes.
function* pieces(visit, maxImages, maxBytes) {
  const whole = jsonBytes(visit);
  if (visit.image_url.length <= maxImages && whole < maxBytes) {
    yield [visit, whole];
    return;
  }
  const around = jsonBytes({ ...visit, image_url: [] });
  let urls = [];
  let size = around;
  for (const url of visit.image_url) {
    const length = jsonBytes(url) + 1;
    if (urls.length && (urls.length === maxImages || size + length >= maxBytes)) {
      yield [{ ...visit, image_url: urls }, size - 1];
      urls = [];
      size = around;
    }
    urls.push(url);
    size += length;
  }
  yield [{ ...visit, image_url: urls }, size - 1];
}

// Splits visits, in their order. A visit is in one part, unless it has more images or bytes than a part can have.
export async function split(visits, { metadataBytes = 0, maxImages = MAX_IMAGES, maxBytes = MAX_BODY_BYTES } = {}) {
  const maxVisitsBytes = maxBytes - AROUND - metadataBytes;
  const parts = [];
  let current = { visits: [], images: 0 };
  let size = 0;
  let done = 0;
  for (const visit of visits) {
    for (const [piece, length] of pieces(visit, maxImages, maxVisitsBytes)) {
      const images = piece.image_url.length;
      if (current.visits.length && (current.images + images > maxImages || size + length + 1 > maxVisitsBytes)) {
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

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const randomHex = (bytes) => hex(crypto.getRandomValues(new Uint8Array(bytes)));

// What names the parts of a file, by its bytes. Without a secure context there is no digest: each submission is another one.
export async function seriesOf(bytes) {
  const digest = crypto.subtle ? hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))) : randomHex(20);
  return `pulse-${digest.slice(0, 40)}`;
}

// The series of the same file, submitted once more as other jobs.
export const otherSeries = (series) => `${series.split("-", 2).join("-")}-${randomHex(4)}`;
export const keyOf = (series, number) => `${series}-${number}`;

// The first characters of a file's name, as a text that the service accepts.
export function nameOf(name) {
  const characters = Array.from(name, (character) => (/^[\ud800-\udfff]$/.test(character) ? "?" : character));
  return characters.slice(0, NAME_CHARACTERS).join("");
}

// A part's metadata: that of the file, then its name, which part it is, and its key, by which the job can be found.
export function metadataOf(given, file, part, submission) {
  const metadata = { ...given };
  for (const [field, value] of Object.entries({ file, part, submission })) {
    const hasRoom = Object.keys(metadata).length < MAX_PAIRS;
    if (value && hasRoom && !Object.hasOwn(metadata, field)) metadata[field] = value;
  }
  return metadata;
}

export function partsOf(found, series, limits = {}) {
  const longest = metadataOf(found.metadata, LONGEST_NAME, "0000 of 0000", keyOf(series, 9999));
  return split(found.visits, { metadataBytes: jsonBytes(longest), ...limits });
}
