// Reads a file of visits by the rules of docs/console.md, so that the console and `pulse` accept the same files.
const COLUMNS = ["store_id", "visit_time", "image_url"];
const MAX_BYTES = { store_id: 64, visit_time: 128, image_url: 2048 };
const FORMULA = /^'[=+\-@\t\r]/;
const URL_RULE = /^https?:\/\/[^/?#\s]/i;
const CONTROL = /[\u0000-\u001f\u007f]/;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
// ISO 8601 as the service reads it: a date, then perhaps a time and an offset.
const TIME = /^(\d{4})-?(?:(\d{2})-?(\d{2})|W(\d{2})(?:-?([1-7]))?)(?:.(\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?)?)?$/i;
const SAVE_AS = "Save it as “CSV UTF-8” in the spreadsheet program.";
// Rows between two breaks, so that the page stays responsive.
export const ROWS_AT_ONCE = 1000;
const BLOCK_CHARACTERS = 30_000;
const SMALL_BLOCK_CHARACTERS = 1000;

const encoder = new TextEncoder();
export const bytesOf = (text) => encoder.encode(text).length;
export const breath = () => new Promise((resolve) => setTimeout(resolve));

export function shown(text) {
  const printable = text.replace(/[\u0000-\u001f\u007f]/g, "�");
  return `“${printable.length <= 40 ? printable : `${printable.slice(0, 39)}…`}”`;
}

function isDate(text) {
  const found = text.trim().toUpperCase().match(TIME);
  if (!found) return false;
  const [, year, month, day, week, , hours = "0", minutes = "0", seconds = "0"] = found;
  if (Number(year) < 1 || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return false;
  if (week) return Number(week) >= 1 && Number(week) <= 53;
  const days = new Date(Date.UTC(2000, Number(month), 0)).getUTCDate();
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const last = Number(month) === 2 && !isLeap ? 28 : days;
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= last;
}

// Returns what is wrong with a text of a column and what to do, or null.
function textProblem(column, text) {
  if (!text) return ["is missing", `Fill in the ${column.replace("_", " ")}.`];
  if (CONTROL.test(text)) return ["contains a line break or a control character", "Delete it. Perhaps a quote (\") above is not closed."];
  if (LONE_SURROGATE.test(text)) return ["contains half a character", "Write the whole character."];
  if (text.length * 3 > MAX_BYTES[column]) {
    const size = bytesOf(text);
    if (size > MAX_BYTES[column]) {
      return [`is longer than ${MAX_BYTES[column].toLocaleString("en")} bytes (it has ${size.toLocaleString("en")})`, "Shorten it."];
    }
  }
  if (column === "image_url" && !URL_RULE.test(text)) {
    return [`is not a web address: ${shown(text)}`, "Write the whole address, from http:// or https:// on."];
  }
  return null;
}

function timeWarning(text) {
  if (isDate(text)) return null;
  return [`is not a date: ${shown(text)}`, "Write 2026-11-23T10:00:00Z, or dated reports leave the visit out."];
}

class Found {
  visits = [];
  problems = [];
  warnings = [];
  metadata = {};
  rows = 0;
  images = 0;

  problem(row, column, problem, fix) {
    this.problems.push({ row, column, problem, fix });
  }

  warn(row, column, problem, fix) {
    this.warnings.push({ row, column, problem, fix });
  }
}

let papa;

// Papa Parse is not a module: it is loaded as a script, when the first file is read.
function loadPapa() {
  papa ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./vendor/papaparse.js", import.meta.url).href;
    script.onload = () => resolve(globalThis.Papa);
    script.onerror = () => {
      papa = undefined;
      script.remove();
      reject(new Error("A part of the console could not be loaded."));
    };
    document.head.append(script);
  });
  return papa;
}

// Returns the text of a file, or null with a problem.
export function decode(content, found) {
  if (content[0] === 0x50 && content[1] === 0x4b && content[2] === 3 && content[3] === 4) {
    found.problem(null, "", "the file is an Excel workbook, not CSV", SAVE_AS);
    return null;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    const lenient = new TextDecoder().decode(content);
    const row = content.includes(0) ? null : lenient.slice(0, lenient.indexOf("�")).split("\n").length;
    found.problem(row, "", "the file is not UTF-8 text", SAVE_AS);
    return null;
  }
}

const columnOf = (cell) => cell.trim().replace(/^"+|"+$/g, "").trim().toLowerCase();

// The separator by which the first line has more of the columns; tabs only in what is pasted from a spreadsheet.
function separatorOf(text, separators) {
  const [header] = text.match(/^.*\S.*$/m) ?? [""];
  const known = (separator) => header.split(separator).filter((cell) => COLUMNS.includes(columnOf(cell))).length;
  return separators.reduce((best, each) => (known(each) > known(best) ? each : best));
}

function placesOf(row, header, found) {
  const names = header.map(columnOf);
  for (const column of COLUMNS) {
    const times = names.filter((name) => name === column).length;
    if (times === 0) {
      found.problem(row, column, "the column is missing", `Name a column ${column}; the columns are ${header.slice(0, 6).map(shown).join(", ")}.`);
    } else if (times > 1) {
      found.problem(row, column, "there are several such columns", "Keep only one of them.");
    }
  }
  return found.problems.length ? null : COLUMNS.map((column) => names.indexOf(column));
}

function readCells(number, cells, places, found) {
  const values = [];
  let isGood = true;
  COLUMNS.forEach((column, index) => {
    const cell = cells[places[index]] ?? "";
    const trimmed = cell.trim();
    const value = FORMULA.test(trimmed) ? trimmed.slice(1) : trimmed;
    const problem = textProblem(column, value);
    if (problem) {
      isGood = false;
      found.problem(number, column, ...problem);
      return;
    }
    if (cell !== trimmed) found.warn(number, column, "has blanks around it", "They are removed.");
    const warning = column === "visit_time" ? timeWarning(value) : null;
    if (warning) found.warn(number, column, ...warning);
    values.push(value);
  });
  return isGood ? values : null;
}

// Returns the rows of a block of at least so many characters, and where the next one begins. A row whose quotes are wrong is
// null and the last one; the line after its first is read as a row, so that one mistake does not hide the others.
function readBlock(Papa, text, at, delimiter, characters) {
  for (; ; characters *= 2) {
    const newline = text.indexOf("\n", at + characters);
    const end = newline < 0 ? text.length : newline + 1;
    const block = text.slice(at, end);
    const { data, errors } = Papa.parse(block, { delimiter, newline: "\n" });
    const wrong = errors.find(({ type }) => type === "Quotes");
    // A last newline is followed by no row.
    if (!wrong) return { rows: block.endsWith("\n") ? data.slice(0, -1) : data, end, isWrong: false };
    if (wrong.code === "MissingQuotes" && end < text.length) continue;
    const { row } = wrong;
    const start = row ? Papa.parse(block, { delimiter, newline: "\n", preview: row }).meta.cursor : 0;
    const next = text.indexOf("\n", at + start);
    return { rows: [...data.slice(0, row), null], end: next < 0 ? text.length : next + 1, isWrong: true };
  }
}

async function readCsv(text, isPasted, found, onProgress) {
  const Papa = await loadPapa();
  const plain = text.replace(/\r\n?/g, "\n");
  const separator = separatorOf(plain, isPasted ? [",", ";", "\t"] : [",", ";"]);
  const visits = new Map();
  let number = 0;
  let places;
  let width = 0;
  let hasRows = false;
  const readRow = (cells) => {
    number += 1;
    if (cells === null) {
      found.problem(number, "", 'has a quote (") that is not closed or out of place', 'A cell that contains " needs quotes around it, and each " in it twice.');
      return;
    }
    if (!cells.some((cell) => cell.trim())) return;
    if (places === undefined) {
      places = placesOf(number, cells, found);
      width = cells.length;
      return;
    }
    if (places === null) return;
    hasRows = true;
    found.rows += 1;
    if (cells.slice(width).some((cell) => cell.trim())) {
      found.problem(number, "", `has ${cells.length} cells for ${width} columns`, `Put quotes around a cell that contains ${shown(separator)}.`);
      return;
    }
    const values = readCells(number, cells, places, found);
    if (!values) return;
    const [store_id, visit_time, image_url] = values;
    const key = `${store_id}\n${visit_time}`;
    if (!visits.has(key)) visits.set(key, { store_id, image_url: [], visit_time });
    visits.get(key).image_url.push(image_url);
  };
  let characters = BLOCK_CHARACTERS;
  let shownAt = 0;
  for (let at = 0; at < plain.length; ) {
    const block = readBlock(Papa, plain, at, separator, characters);
    for (const cells of block.rows) readRow(cells);
    at = block.end;
    // Where one row is wrong, others often are, and each ends a block.
    characters = block.isWrong ? SMALL_BLOCK_CHARACTERS : Math.min(characters * 2, BLOCK_CHARACTERS);
    if (at - shownAt >= BLOCK_CHARACTERS) {
      shownAt = at;
      onProgress(number);
      await breath();
    }
  }
  if (places === undefined && !found.problems.length) {
    found.problem(null, "", "the file is empty", `Add a header ${COLUMNS.join(",")} and rows.`);
  } else if (places && !hasRows && !found.problems.length) {
    found.problem(null, "", "the file has no rows after its header", "Add a row for each image.");
  }
  found.visits = [...visits.values()];
}

function readJsonVisit(sent, place, found) {
  if (sent === null || typeof sent !== "object" || Array.isArray(sent)) {
    found.problem(null, place, "must be an object", `Give it ${COLUMNS.join(", ")}.`);
    return;
  }
  const checked = (column, value, where) => {
    const problem = typeof value === "string" ? textProblem(column, value) : ["must be a text", "Put it in quotes."];
    if (problem) found.problem(null, where, ...problem);
    return problem ? null : value;
  };
  const store_id = checked("store_id", sent.store_id ?? "", `${place}.store_id`);
  const visit_time = checked("visit_time", sent.visit_time ?? "", `${place}.visit_time`);
  if (!Array.isArray(sent.image_url) || !sent.image_url.length) {
    found.problem(null, `${place}.image_url`, "must be a list of addresses", "List its images.");
    return;
  }
  found.rows += sent.image_url.length;
  const good = sent.image_url.map((url, number) => checked("image_url", url, `${place}.image_url[${number}]`)).filter((url) => url !== null);
  if (store_id === null || visit_time === null || !good.length) return;
  const warning = timeWarning(visit_time);
  if (warning) found.warn(null, `${place}.visit_time`, ...warning);
  found.visits.push({ store_id, image_url: good, visit_time });
}

function metadataOf(sent, found) {
  const isText = (text, limit) => typeof text === "string" && !LONE_SURROGATE.test(text) && bytesOf(text) <= limit;
  const isObject = sent !== null && typeof sent === "object" && !Array.isArray(sent);
  const pairs = isObject ? Object.entries(sent) : [];
  if (isObject && pairs.length <= 16 && pairs.every(([key, value]) => key && isText(key, 64) && isText(value, 512))) return sent;
  found.problem(null, "metadata", "is not what the service accepts", "Give at most 16 pairs of texts, of 64 and 512 bytes.");
  return {};
}

async function readJson(text, found) {
  let body;
  try {
    body = JSON.parse(text);
  } catch (error) {
    found.problem(null, "", `the file is not JSON: ${error.message}`, "Correct it there.");
    return;
  }
  if (!body || !Array.isArray(body.visits) || !body.visits.length) {
    found.problem(null, "visits", "is missing or not a list of visits", 'Write {"count": …, "visits": […]}.');
    return;
  }
  if ("count" in body && body.count !== body.visits.length) {
    found.problem(null, "count", `is ${body.count}; the number of visits is ${body.visits.length.toLocaleString("en")}`, "Correct it.");
  }
  for (let number = 0; number < body.visits.length; number++) {
    readJsonVisit(body.visits[number], `visits[${number}]`, found);
    if (number % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await breath();
  }
  found.metadata = metadataOf(body.metadata ?? {}, found);
}

// Returns the good visits of a file or of pasted text, its problems and its warnings.
export async function readVisits(content, { isPasted = false, onProgress = () => {} } = {}) {
  const found = new Found();
  const text = typeof content === "string" ? content : decode(content, found);
  if (text === null) return found;
  if (/^\s*[{[]/.test(text)) await readJson(text, found);
  else await readCsv(text, isPasted, found, onProgress);
  found.images = found.visits.reduce((sum, visit) => sum + visit.image_url.length, 0);
  return found;
}
