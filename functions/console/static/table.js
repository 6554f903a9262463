// A table that draws only the rows in view, so that 20,000 of them scroll like 20.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";

const ROW = 32;
const EXTRA = 12;
const MAX_HEIGHT = 18 * ROW;

// columns: [{name, title, width, class}]; row(index) returns the cells, or undefined while it is not loaded.
export function VirtualTable({ label, columns, total, row, rowProps = () => ({}), onRange = () => {} }) {
  const box = useRef(null);
  const [range, setRange] = useState([0, 30]);
  const frame = useRef(0);
  const measure = () => {
    frame.current = 0;
    if (!box.current) return;
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - EXTRA);
    const last = Math.min(Math.max(total - 1, 0), Math.ceil((scrollTop + clientHeight) / ROW) + EXTRA);
    setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]));
  };
  const onScroll = () => {
    frame.current ||= requestAnimationFrame(measure);
  };
  useLayoutEffect(measure, [total]);
  useEffect(() => {
    onRange(range[0], range[1]);
  }, [range, total]);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  const first = Math.min(range[0], Math.max(total - 1, 0));
  const last = Math.min(range[1], total - 1);
  const rows = [];
  for (let index = first; index <= last; index++) rows.push(index);
  const gap = (height) => height > 0 && html`<tr class="gap" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${height}px` }} /></tr>`;
  const cell = ({ name, class: kind = "" }, content) => html`<td key=${name} class=${kind}>${content}</td>`;
  return html`<div class="scroller" ref=${box} onScroll=${onScroll} tabindex="0" role="region" aria-label=${label}
    style=${{ height: `${Math.min(MAX_HEIGHT, (total + 1) * ROW) + 2}px` }}>
    <table class="fixed" aria-rowcount=${total + 1}>
      <colgroup>${columns.map(({ name, width, class: kind = "" }) => html`<col key=${name} class=${kind} style=${{ width }} />`)}</colgroup>
      <thead><tr aria-rowindex="1">${columns.map(({ name, title, class: kind = "" }) => html`<th key=${name} scope="col" class=${kind}>${title}</th>`)}</tr></thead>
      <tbody>
        ${gap(first * ROW)}
        ${rows.map((index) => {
          const cells = row(index);
          return html`<tr key=${index} aria-rowindex=${index + 2} ...${cells ? rowProps(index) : {}}>
            ${columns.map((column) => cell(column, cells ? cells[column.name] : html`<span class="bone" />`))}
          </tr>`;
        })}
        ${gap((total - 1 - last) * ROW)}
      </tbody>
    </table>
  </div>`;
}
