// Live charts: rates, latencies, refusals, capacity, processors; some minutes back.

import { Empty, Panel, css, html, percent, rate, seconds, store, useEffect, useRef, useState } from "./lib.js";

const WINDOWS = [[120, "2 min"], [300, "5 min"], [600, "10 min"]];
const GAP_S = 5;
const SHORTEST_S = 30;
const HEIGHT = 190;
const COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

const CHARTS = [
  ["Requests per second", [["reads", "reads"], ["writes", "writes"]], rate],
  ["Latency", [["p50", "p50_s"], ["p99", "p99_s"]], seconds],
  ["Refused and failed per second", [["throttled", "throttled"], ["conflicts", "conflicts"], ["errors in all", "errors"]], rate],
  ["Capacity units per second", [["read units", "read_units"], ["write units", "write_units"]], rate],
];

export function ChartsPage({ theme }) {
  const { live, points } = store;
  const [window_s, setWindow] = useState(300);
  const since = live.at_ms - window_s * 1000;
  const seen = withGaps(points.filter((each) => each.at_ms >= since));
  const at = live.point_names;
  const times = seen.map((each) => each.at_ms / 1000);
  const names = [...new Set(seen.flatMap((each) => Object.keys(each.cpu)))].sort();
  return html`
    <div class="title"><h1>Charts</h1>
      <div class="row" role="group" aria-label="Time shown">${WINDOWS.map(([value, text]) => html`
        <button key=${value} type="button" aria-pressed=${value === window_s} onClick=${() => setWindow(value)}>${text}</button>`)}</div></div>
    ${points.length < 2 && html`<${Empty}>Two looks are needed for a rate; the first lines appear in a moment.<//>`}
    <div class="charts">
      ${CHARTS.map(([title, lines, shown]) => html`<${Chart} key=${title} title=${title} theme=${theme} shown=${shown} window_s=${window_s}
        times=${times} lines=${lines.map(([name, member]) => [name, seen.map((each) => each.totals[at.indexOf(member)])])} />`)}
      <${Chart} title="Processor time by process" theme=${theme} shown=${percent} window_s=${window_s} times=${times}
        lines=${names.slice(0, 12).map((name) => [name, seen.map((each) => each.cpu[name] ?? null)])} />
    </div>`;
}

// A line is not drawn through a time in which nobody looked.
function withGaps(points) {
  const found = [];
  for (const point of points) {
    const last = found[found.length - 1];
    if (last && point.at_ms - last.at_ms > GAP_S * 1000) {
      found.push({ at_ms: (last.at_ms + point.at_ms) / 2, totals: [], cpu: {} });
    }
    found.push(point);
  }
  return found;
}

function Chart({ title, lines, times, shown, theme, window_s }) {
  const element = useRef();
  const plot = useRef(null);
  const data = [times, ...lines.map(([, values]) => values.map((value) => value ?? null))];
  const names = lines.map(([name]) => name).join("|");
  useEffect(() => {
    const draw = new uPlot(options(title, lines.map(([name]) => name), shown, element.current.clientWidth), data, element.current);
    plot.current = draw;
    const watcher = new ResizeObserver(() => draw.setSize({ width: element.current.clientWidth, height: HEIGHT }));
    watcher.observe(element.current);
    return () => {
      watcher.disconnect();
      draw.destroy();
    };
  }, [names, theme]);
  useEffect(() => {
    plot.current.setData(data, false);
    const last = times[times.length - 1] ?? Date.now() / 1000;
    const first = Math.min(times[0] ?? last, last - SHORTEST_S);
    plot.current.setScale("x", { min: Math.max(last - window_s, first), max: last });
    // Without a pointer over the chart the legend tells what is now.
    if (plot.current.cursor.left < 0 && times.length) plot.current.setLegend({ idx: times.length - 1 });
  });
  return html`<${Panel} title=${title}><div class="chart" ref=${element} role="img" aria-label=${`${title}, now ${lines.map(([name, values]) => `${name} ${shown(values[values.length - 1])}`).join(", ")}`} /><//>`;
}

function options(title, names, shown, width) {
  const axis = { stroke: css("--muted"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: `11px ${css("--font")}` };
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: "charts" }, points: { size: 6 } },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, size: 30, space: 80, values: (_, splits) => splits.map((each) => new Date(each * 1000).toLocaleTimeString("en-GB")) },
      { ...axis, size: 62, values: (_, splits) => splits.map((each) => (each === 0 ? "0" : shown(each))) },
    ],
    series: [
      { label: "time", value: (_, value) => (value ? new Date(value * 1000).toLocaleTimeString("en-GB") : "") },
      ...names.map((name, number) => ({
        label: name,
        stroke: css(COLOURS[number % COLOURS.length]),
        dash: number >= COLOURS.length ? [4, 3] : undefined,
        width: 1.6,
        spanGaps: false,
        points: { show: false },
        value: (_, value) => (value === null || value === undefined ? "–" : shown(value)),
      })),
    ],
  };
}
