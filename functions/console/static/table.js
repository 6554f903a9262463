// A table that draws only the rows in view, so that 20,000 of them scroll like 20.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";

const HEAD = 32;
const EXTRA = 12;
const MAX_HEIGHT = 18 * HEAD;

// columns: [{name, title, width, narrow, wide, class}], where `narrow` is the width on a phone, and columns that are `wide`
// are left out there and when the table is compact; row(index) returns the cells, or undefined while it is not loaded.
const narrow = matchMedia("(max-width: 640px)");

export function useNarrow() {
  const [isNarrow, setIsNarrow] = useState(narrow.matches);
  useEffect(() => {
    const onChange = () => setIsNarrow(narrow.matches);
    narrow.addEventListener("change", onChange);
    return () => narrow.removeEventListener("change", onChange);
  }, []);
  return isNarrow;
}

export function VirtualTable({ label, columns: all, compact = false, total, row, rowHeight = 32, rowProps = () => ({}), onRange = () => {} }) {
  const isNarrow = useNarrow();
  const columns = all.filter(({ wide }) => !wide || !(compact || isNarrow));
  const box = useRef(null);
  const [range, setRange] = useState([0, 30]);
  const frame = useRef(0);
  const measure = () => {
    frame.current = 0;
    if (!box.current) return;
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - EXTRA);
    const last = Math.min(Math.max(total - 1, 0), Math.ceil((scrollTop + clientHeight) / rowHeight) + EXTRA);
    setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]));
  };
  const onScroll = () => {
    frame.current ||= requestAnimationFrame(measure);
  };
  useLayoutEffect(measure, [total, rowHeight]);
  useEffect(() => {
    const sizes = new ResizeObserver(onScroll);
    sizes.observe(box.current);
    return () => sizes.disconnect();
  }, []);
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
    style=${{ height: `${Math.min(MAX_HEIGHT, total * rowHeight + HEAD) + 2}px` }}>
    <table class="fixed" aria-rowcount=${total + 1}>
      <colgroup>${columns.map((column) => html`<col key=${column.name} class=${column.class} style=${{ width: (isNarrow && column.narrow) || column.width }} />`)}</colgroup>
      <thead><tr aria-rowindex="1">${columns.map(({ name, title, class: kind = "" }) => html`<th key=${name} scope="col" class=${kind}><span class="word">${title}</span></th>`)}</tr></thead>
      <tbody>
        ${gap(first * rowHeight)}
        ${rows.map((index) => {
          const cells = row(index);
          return html`<tr key=${index} style=${{ height: `${rowHeight}px` }} aria-rowindex=${index + 2} ...${cells ? rowProps(index) : {}}>
            ${columns.map((column) => cell(column, cells ? cells[column.name] : html`<span class="bone" />`))}
          </tr>`;
        })}
        ${gap((total - 1 - last) * rowHeight)}
      </tbody>
    </table>
  </div>`;
}
