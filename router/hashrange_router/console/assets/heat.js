// The heat of keys: the space of hashes downwards, time to the right, requests a second as colour.

import {
  Empty, HASHES, Panel, address, api, clock, css, hashes, html, percent, place, rate, store, useEffect, useRef, useState,
} from "./lib.js";

const BINS = 64;
const COLUMNS = 300;
const COLUMNS_LEAST = 60;
const TOP_LEAST = 10;
const LEFT = 46;
const RIGHT = 250;
const TOP = 8;
const BOTTOM = 24;
const HEIGHT = 400;
const LABEL_PX = 30;
const LABELS_MAX = 8;

// Dark to bright; the first is what nothing at all is drawn as.
const RAMPS = {
  dark: [[23, 29, 38], [35, 52, 96], [86, 52, 132], [170, 54, 110], [233, 92, 66], [252, 168, 56], [255, 240, 160]],
  light: [[243, 245, 248], [205, 220, 246], [156, 178, 232], [150, 112, 200], [198, 62, 130], [228, 60, 48], [120, 8, 20]],
};

function colour(ramp, share) {
  const at = Math.min(0.9999, Math.max(0, share)) * (ramp.length - 1);
  const low = ramp[Math.floor(at)];
  const high = ramp[Math.floor(at) + 1];
  const part = at % 1;
  return low.map((value, number) => Math.round(value + (high[number] - value) * part));
}

// So many columns are drawn: the map fills its width soon, and moves once it is full.
const across = (columns) => Math.max(COLUMNS_LEAST, columns.length);

// Small loads must be seen beside large ones.
const shade = (value, top) => (value <= 0 || top <= 0 ? 0 : 0.08 + 0.92 * Math.sqrt(value / top));

export function HeatPage({ where, theme }) {
  const { view } = store.live;
  const named = resources(view);
  // What is hottest when the page is opened; it stays when another one gets hotter.
  const [first] = useState(() => hottest(view, named));
  const wanted = where.query.get("of") || first;
  const chosen = named.find((each) => each.name === wanted) || named[0];
  return html`
    <div class="title"><h1>Key heat</h1>
      ${chosen && html`<label class="inline">Table or index <select value=${chosen.name} onChange=${(event) => { location.hash = address("heat", [], { of: event.target.value }); }}>
        ${named.map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></label>`}</div>
    ${chosen ? html`<${Map} key=${chosen.name} of=${chosen} theme=${theme} />` : html`<${Empty}>There are no tables yet.<//>`}
    <${HotKeys} view=${view} />`;
}

const nameOf = (each) => (each.index ? `${each.table} / ${each.index}` : each.table);

function resources(view) {
  const found = Object.create(null);
  for (const each of view.partitions) found[nameOf(each)] ||= { name: nameOf(each), table: each.table, index: each.index || "" };
  return Object.values(found).sort((one, other) => one.name.localeCompare(other.name));
}

// The table or index of the hottest key, or without keys the one with most requests.
function hottest(view, named) {
  if (view.keys.length) return nameOf(view.keys[0]);
  const loads = Object.create(null);
  for (const each of view.partitions) loads[nameOf(each)] = (loads[nameOf(each)] || 0) + each.reads + each.writes;
  return named.map((each) => each.name).sort((one, other) => loads[other] - loads[one])[0];
}

function keyText(key) {
  return Object.entries(key).map(([name, value]) => `${name} = ${Object.values(value)[0]}`).join(", ");
}

function Map({ of, theme }) {
  const [columns, setColumns] = useState([]);
  const [pointed, setPointed] = useState(null);
  const canvas = useRef();
  const { view, newest } = store.live;
  useEffect(() => {
    let gone = false;
    const after = columns.length ? columns[columns.length - 1].number : Math.max(0, newest - COLUMNS);
    const query = new URLSearchParams({ table: of.table, index: of.index, after: String(after > newest ? 0 : after) });
    api(`/api/heat?${query}`).then(
      (heat) => gone || setColumns((old) => [...(after > newest ? [] : old.filter((each) => each.number <= after)), ...heat.columns].slice(-COLUMNS)),
      () => {},
    );
    return () => { gone = true; };
  }, [newest]);
  const top = Math.max(TOP_LEAST, ...columns.map((each) => Math.max(0, ...each.cells)));
  const partitions = view.partitions.filter((each) => each.table === of.table && (each.index || "") === of.index)
    .sort((one, other) => one.hash_range[0] - other.hash_range[0]);
  const keys = view.keys.filter((each) => each.table === of.table && (each.index || "") === of.index && each.position !== null && each.position !== undefined);
  useEffect(() => {
    const watcher = new ResizeObserver(() => draw(canvas.current, columns, top, partitions, keys, pointed));
    watcher.observe(canvas.current.parentElement);
    return () => watcher.disconnect();
  });
  const point = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const width = box.width - LEFT - RIGHT;
    const x = (event.clientX - box.left - LEFT) / width;
    const y = (event.clientY - box.top - TOP) / (HEIGHT - TOP - BOTTOM);
    setPointed(x >= 0 && x < 1 && y >= 0 && y < 1 ? { x, y } : null);
  };
  return html`<${Panel} title=${of.name} aside=${html`<${Legend} theme=${theme} top=${top} />`}>
    <div class="heat">
      <canvas ref=${canvas} height=${HEIGHT} role="img" onMouseMove=${point} onMouseLeave=${() => setPointed(null)}
        aria-label=${`Requests by hash and time. ${keys.length ? `Hottest key: ${keyText(keys[0].key)}, ${rate(keys[0].requests)} requests a second` : "No key is hot."}`} />
    </div>
    <p class="caption muted" aria-live="off">${told(columns, pointed) || html`Each line of the map is 1/${BINS} of the hash space; requests of a partition are spread evenly over it, but for those of hot keys, which are drawn where their hash is.`}</p>
  <//>`;
}

function told(columns, pointed) {
  if (!pointed || !columns.length) return "";
  const column = columns[columns.length - across(columns) + Math.floor(pointed.x * across(columns))];
  if (!column) return "";
  const cell = Math.floor(pointed.y * (column.cells.length || 1));
  const bounds = [(cell / BINS) * HASHES, ((cell + 1) / BINS) * HASHES];
  return `${clock(column.at_ms)}, hashes ${hashes(bounds)}: ${rate(column.cells[cell] ?? 0)} requests/s`;
}

function draw(canvas, columns, top, partitions, keys) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.parentElement.clientWidth;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== HEIGHT * ratio) canvas.height = HEIGHT * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${HEIGHT}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, HEIGHT);
  const area = { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
  drawCells(context, area, columns, top);
  drawAxes(context, area, columns, partitions);
  drawKeys(context, area, keys);
}

function drawCells(context, area, columns, top) {
  const ramp = RAMPS[document.documentElement.dataset.theme] || RAMPS.light;
  const wide = across(columns);
  const image = new ImageData(wide, BINS);
  const blank = ramp[0];
  for (let x = 0; x < wide; x += 1) {
    const column = columns[columns.length - wide + x];
    for (let y = 0; y < BINS; y += 1) {
      const value = column?.cells[y] ?? 0;
      const [red, green, blue] = value > 0 ? colour(ramp, shade(value, top)) : blank;
      image.data.set([red, green, blue, 255], (y * wide + x) * 4);
    }
  }
  const small = document.createElement("canvas");
  small.width = wide;
  small.height = BINS;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, area.x, area.y, area.width, area.height);
}

function drawAxes(context, area, columns, partitions) {
  context.font = `11px ${css("--font")}`;
  context.fillStyle = css("--muted");
  context.strokeStyle = css("--border");
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const [share, text] of [[0, "0000"], [0.25, "4000"], [0.5, "8000"], [0.75, "c000"], [1, "ffff"]]) {
    context.fillText(text, area.x - 8, area.y + Math.min(area.height - 4, Math.max(4, share * area.height)));
  }
  context.lineWidth = 1;
  for (const each of partitions.slice(1)) {
    const y = Math.round(area.y + (each.hash_range[0] / HASHES) * area.height) + 0.5;
    context.beginPath();
    context.setLineDash([3, 3]);
    context.moveTo(area.x, y);
    context.lineTo(area.x + area.width, y);
    context.stroke();
    context.setLineDash([]);
  }
  context.strokeRect(area.x + 0.5, area.y + 0.5, area.width - 1, area.height - 1);
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const share of [0, 1 / 3, 2 / 3, 1]) {
    const column = columns[Math.min(columns.length - 1, columns.length - across(columns) + Math.floor(share * across(columns)))];
    if (column) context.fillText(clock(column.at_ms), area.x + share * area.width, area.y + area.height + 7);
  }
}

// Hot keys beside the map, at the height of their hash; labels that would cover one another are moved apart.
function drawKeys(context, area, keys) {
  const labels = keys.slice(0, LABELS_MAX)
    .map((key) => ({ key, want: area.y + ((Math.floor((key.position / HASHES) * BINS) + 0.5) / BINS) * area.height }))
    .sort((one, other) => one.want - other.want);
  let low = area.y + 12;
  for (const label of labels) {
    label.y = Math.max(low, label.want);
    low = label.y + LABEL_PX;
  }
  let high = area.y + area.height - 12;
  for (const label of [...labels].reverse()) {
    label.y = Math.min(high, label.y);
    high = label.y - LABEL_PX;
  }
  const edge = area.x + area.width;
  for (const { key, want, y } of labels) {
    const hot = key.share >= 0.2;
    context.strokeStyle = css(hot ? "--bad" : "--muted");
    context.lineWidth = hot ? 1.5 : 1;
    context.beginPath();
    context.moveTo(edge + 2, want);
    context.lineTo(edge + 12, want);
    context.lineTo(edge + 22, y);
    context.lineTo(edge + 28, y);
    context.stroke();
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.font = `${hot ? 600 : 400} 12px ${css("--font")}`;
    context.fillStyle = css(hot ? "--text" : "--muted");
    context.fillText(clipped(context, keyText(key.key), RIGHT - 36), edge + 33, y - 7);
    context.font = `11px ${css("--font")}`;
    context.fillStyle = css("--muted");
    context.fillText(`${rate(key.requests)}/s, ${percent(key.share)} of partition ${key.partition}`, edge + 33, y + 7);
  }
}

function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let short = text;
  while (short && context.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return `${short}…`;
}

function Legend({ theme, top }) {
  const ramp = RAMPS[document.documentElement.dataset.theme] || RAMPS.light;
  const canvas = useRef();
  useEffect(() => {
    const context = canvas.current.getContext("2d");
    for (let x = 0; x < 120; x += 1) {
      context.fillStyle = `rgb(${colour(ramp, shade((x / 119) ** 2 * top, top))})`;
      context.fillRect(x, 0, 1, 10);
    }
  }, [theme, top]);
  return html`<span class="legend muted">0 <canvas ref=${canvas} width="120" height="10" aria-hidden="true" /> ${rate(top)} requests/s</span>`;
}

function HotKeys({ view }) {
  const shown = view.keys.slice(0, 20);
  return html`<${Panel} title="Hottest keys">
    ${!view.keys_shown && html`<${Empty}>Keys are not shown: <code>show_hot_keys</code> is off.<//>`}
    ${view.keys_shown && shown.length === 0 && html`<${Empty}>No partition key has a large share of its partition's requests.<//>`}
    ${shown.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th>Key</th><th>Of</th><th class="right">Requests/s</th><th>Share of its partition</th></tr></thead>
      <tbody>${shown.map((each) => html`<tr key=${`${each.partition} ${JSON.stringify(each.key)}`}>
        <td class="wide"><code>${keyText(each.key)}</code>${!each.whole && html` <small class="muted">several items</small>`}</td>
        <td>${each.index ? `${each.table} / ${each.index}` : each.table}</td>
        <td class="right">${rate(each.requests)}</td>
        <td><span class="meter"><span class=${each.share >= 0.5 ? "bad" : each.share >= 0.2 ? "warm" : ""} style=${{ width: `${Math.round(each.share * 100)}%` }} /></span> ${percent(each.share)}
          <small class="muted">${" "}of partition ${each.partition}</small></td>
      </tr>`)}</tbody></table></div>`}
  <//>`;
}
