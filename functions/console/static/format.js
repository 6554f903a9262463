// Numbers, times and sizes as people read them.
const integer = new Intl.NumberFormat("en");
const oneDecimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const withYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

export const number = (value) => integer.format(value);
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;
export const percent = (part) => `${Math.floor(part * 100)} %`;

export function time(text) {
  const date = new Date(text);
  return (date.getFullYear() === new Date().getFullYear() ? short : withYear).format(date);
}

export const clockTime = (date) => clock.format(new Date(date));
export const fullTime = (text) => full.format(new Date(text));

export function size(bytes) {
  if (bytes === null) return "";
  const units = ["B", "KB", "MB", "GB"];
  let power = 0;
  for (; bytes >= 1000 && power < 3; power++) bytes /= 1000;
  return `${oneDecimal.format(bytes)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const rate = (perSecond) => (perSecond >= 10 ? number(Math.round(perSecond)) : oneDecimal.format(perSecond));

export function fileName(url) {
  const path = url.split(/[?#]/)[0].split("/").filter(Boolean);
  return path.length > 2 ? path[path.length - 1] : url;
}

// 2026-11-24 in the reader's zone becomes the moment that it begins or, for `days` 1, ends.
export function dayStart(day, days = 0) {
  if (!day) return "";
  const date = new Date(`${day}T00:00:00`);
  if (Number.isNaN(date.getTime())) return "";
  date.setDate(date.getDate() + days);
  return date.toISOString();
}
