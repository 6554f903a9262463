// A chart of perimeters over time, drawn by uPlot, which is loaded when the first chart is shown.
import { number } from "./format.js";
import { html, useEffect, useRef, useState } from "./lib.js";

const HEIGHT = 260;
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

let uplot;

function load() {
  uplot ??= new Promise((resolve, reject) => {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("./vendor/uplot.css", import.meta.url).href;
    const script = document.createElement("script");
    script.src = new URL("./vendor/uplot.js", import.meta.url).href;
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => {
      uplot = undefined;
      script.remove();
      reject(new Error("The chart could not be loaded."));
    };
    document.head.append(style, script);
  });
  return uplot;
}

// uPlot wants one list of times, and for each line its values there.
function aligned(lines) {
  const times = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const places = new Map(times.map((at, index) => [at, index]));
  return [times, ...lines.map(({ points }) => {
    const values = new Array(times.length).fill(null);
    for (const [at, value] of points) values[places.get(at)] = value;
    return values;
  })];
}

function options(lines, width) {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: token("--ink-quiet"), font: `12px ${token("--font")}`, grid: { stroke: token("--edge"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [12, 12, 0, 0],
    cursor: { drag: { x: true, y: false }, points: { size: 8 } },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [Math.min(0, low), high * 1.1 || 1] } },
    axes: [
      { ...axis, size: 32, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" })), space: 72 },
      { ...axis, size: 64, values: (_, splits) => splits.map((value) => number(value)) },
    ],
    series: [
      { label: "Time", value: (_, at) => (at === null ? "" : new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })) },
      ...lines.map(({ name }, index) => ({
        label: name,
        stroke: token(`--line-${index + 1}`),
        width: 2,
        dash: DASHES[index % DASHES.length],
        spanGaps: true,
        points: { show: true, size: 6 },
        value: (_, value) => (value === null ? "" : number(value)),
      })),
    ],
  };
}

// lines: [{name, points: [[seconds, value]]}], at most eight.
export function Chart({ lines, label }) {
  const box = useRef(null);
  const [failed, setFailed] = useState("");
  useEffect(() => {
    let plot;
    let ended = false;
    const draw = (UPlot) => {
      if (ended || !box.current) return;
      plot?.destroy();
      plot = new UPlot(options(lines, box.current.clientWidth), aligned(lines), box.current);
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => load().then(draw);
    const sizes = new ResizeObserver(() => plot?.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    load().then((UPlot) => {
      draw(UPlot);
      if (!ended) sizes.observe(box.current);
    }, (error) => setFailed(error.message));
    dark.addEventListener("change", redraw);
    return () => {
      ended = true;
      sizes.disconnect();
      dark.removeEventListener("change", redraw);
      plot?.destroy();
    };
  }, [lines]);
  if (failed) return html`<p class="quiet">${failed} The table below has the same figures.</p>`;
  return html`<div class="chart" ref=${box} role="img" aria-label=${label} style=${{ minHeight: `${HEIGHT}px` }} />`;
}
