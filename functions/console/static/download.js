// Files for the reader: lists of the API as CSV, and tables of the console's own.
import { request, query } from "./api.js";

const FORMULA = /^[=+\-@\t\r]/;
const PAGE = 1000;

function cell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && FORMULA.test(text)) text = `'${text}`;
  return /[",\r\n;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(columns, rows) {
  return [columns, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

export function save(name, parts, type = "text/csv;charset=utf-8") {
  const link = document.createElement("a");
  // Spreadsheets know UTF-8 by the mark at the beginning.
  link.href = URL.createObjectURL(new Blob(["\ufeff", ...parts], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Reads all pages of a list as CSV; each page has the header, which is kept once.
export async function downloadList(name, path, parameters, onProgress = () => {}) {
  const parts = [];
  let next = path + query({ ...parameters, limit: PAGE, format: "csv" });
  while (next) {
    const { response, text } = await request(next);
    parts.push(parts.length ? text.slice(text.indexOf("\r\n") + 2) : text);
    onProgress(parts.length);
    const link = response.headers.get("link")?.match(/<([^>]+)>;\s*rel="next"/)?.[1];
    next = link ? new URL(link, location.origin) : null;
    next = next && next.origin === location.origin ? next.pathname + next.search : null;
  }
  save(name, parts);
}
