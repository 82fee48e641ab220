// The map of the cluster: zones and what runs in them, partitions in the space of hashes and who leads them.

import {
  Badge, Empty, HASHES, NOTHING, Panel, State, address, count, hashes, html, percent, rate, seconds, size, store, zoneNumber,
} from "./lib.js";

const ROLES = { node: 0, embedded: 0, router: 1, triggers: 2, dax: 3 };
const SPOKEN = { node: "node", embedded: "server", router: "router", triggers: "trigger pool", dax: "cache node" };

export function zonesOf(view) {
  return [...new Set(view.processes.map((each) => each.zone))].sort();
}

export function ClusterPage() {
  const { live } = store;
  const { view } = live;
  const zones = zonesOf(view);
  return html`
    <h1>Cluster</h1>
    <div class="zones" style=${{ gridTemplateColumns: `repeat(${Math.min(zones.length, 4)}, minmax(0, 1fr))` }}>
      ${zones.map((zone) => html`<${Zone} key=${zone} zone=${zone} zones=${zones} view=${view} />`)}
    </div>
    <${Partitions} live=${live} zones=${zones} />
  `;
}

function Zone({ zone, zones, view }) {
  const there = view.processes
    .filter((each) => each.zone === zone)
    .sort((one, other) => ROLES[one.role] - ROLES[other.role] || one.name.localeCompare(other.name, "en", { numeric: true }));
  return html`<section class="panel zone" style=${{ "--zone": `var(--zone-${zoneNumber(zones, zone)})` }}>
    <header><h2>${zone}</h2><span class="muted">${there.length} process${there.length > 1 ? "es" : ""}</span></header>
    <ul class="processes">${there.map((each) => html`<${Process} key=${each.name} process=${each} />`)}</ul>
  </section>`;
}

function Process({ process }) {
  const figures = [
    ["CPU", percent(process.cpu)],
    ["memory", size(process.memory_bytes)],
    process.leads !== null && ["leads", `${process.leads} of ${process.partitions ?? 0}`],
    process.reads !== null && ["reads/s", rate(process.reads)],
    process.writes !== null && ["writes/s", rate(process.writes)],
    process.requests !== null && ["requests/s", rate(process.requests)],
    process.connections !== null && process.role !== "node" && ["clients", count(process.connections)],
    process.sync_p99_s !== null && ["sync p99", seconds(process.sync_p99_s)],
    process.disk_free_bytes !== null && ["disk free", size(process.disk_free_bytes)],
  ].filter((each) => each && each[1] !== "");
  return html`<li class="process">
    <div class="head"><strong>${process.name}</strong><span class="muted">${SPOKEN[process.role] === process.name.split("-")[0] ? "" : SPOKEN[process.role] || ""}</span>
      <${State}>${process.state}<//></div>
    ${figures.length > 0 && html`<dl>${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`}
  </li>`;
}

// ---- partitions

// Every table and index, with its partitions in the order of their hashes.
function resources(live) {
  const loads = new Map(live.view.partitions.map((each) => [each.id, each]));
  const nodes = new Map(live.nodes.map((each) => [each.id, each.az]));
  const found = new Map();
  const rows = live.places.length
    ? live.places
    : live.view.partitions.map((each) => ({ ...each, replicas: [{ node: each.leader, role: "leader" }] }));
  for (const row of rows) {
    if (String(row.table).startsWith("$")) continue;
    const name = row.id === 0 ? "control plane" : row.index ? `${row.table} / ${row.index}` : row.table;
    if (!found.has(name)) found.set(name, { name, table: row.table, system: row.id === 0, partitions: [] });
    const load = loads.get(row.id);
    found.get(name).partitions.push({
      ...row,
      load: load ? load.reads + load.writes : 0,
      size_bytes: load?.size_bytes,
      lanes: row.replicas.map((each) => ({
        ...each,
        zone: nodes.get(each.node) ?? load?.zone ?? "local",
        leads: each.node === row.leader || live.places.length === 0,
        name: typeof each.node === "number" ? `node-${each.node}` : String(each.node ?? "server"),
      })),
    });
  }
  for (const each of found.values()) each.partitions.sort((one, other) => one.hash_range[0] - other.hash_range[0]);
  return [...found.values()].sort((one, other) => Number(one.system) - Number(other.system) || one.name.localeCompare(other.name));
}

const perSecond = (load) => (rate(load) === NOTHING ? "idle" : `${rate(load)}/s`);

function Partitions({ live, zones }) {
  const all = resources(live);
  const used = zones.filter((zone) => all.some((each) => each.partitions.some((part) => part.lanes.some((lane) => lane.zone === zone))));
  return html`<${Panel} title="Partitions" aside=${html`<span class="muted">by hash, 0000 to ffff · </span>
      <span class="swatch strong" /> leader <span class="swatch" /> follower`}>
    ${all.length === 0 && html`<${Empty}>There are no tables yet.<//>`}
    <div class="hash-maps">
      ${all.map((each) => html`<div class="hash-map" key=${each.name}>
        <div class="of">
          ${each.system ? html`<span class="muted">${each.name}</span>` : html`<a href=${address("tables", [each.table])}>${each.name}</a>`}
          <small class="muted">${each.partitions.length} partition${each.partitions.length > 1 ? "s" : ""}
            ${" · "}${perSecond(each.partitions.reduce((sum, part) => sum + part.load, 0))}</small>
          ${each.partitions.some((part) => part.leader === null && !each.system) && html` <${Badge} kind="bad">no leader<//>`}
        </div>
        <div class="lanes">${used.map((zone) => html`<${Lane} key=${zone} zone=${zone} zones=${zones} partitions=${each.partitions} />`)}</div>
      </div>`)}
    </div>
  <//>`;
}

function Lane({ zone, zones, partitions }) {
  return html`<div class="lane" style=${{ "--zone": `var(--zone-${zoneNumber(zones, zone)})` }}>
    <span class="zone-name">${zone}</span>
    <div class="bar">
      ${partitions.map((part) => {
        const here = part.lanes.filter((each) => each.zone === zone);
        const [low, high] = part.hash_range;
        const width = (high - low) / HASHES;
        const told = here.map((each) => `${each.name}, ${each.leads ? "leader" : each.role}${each.damaged ? ", damaged" : ""}`).join("; ");
        const title = `partition ${part.id}, ${hashes(part.hash_range)}: ${told || "no replica here"}, ${rate(part.load)} requests/s, ${size(part.size_bytes)}`;
        const kind = here.some((each) => each.leads) ? "leads" : here.length ? "follows" : "none";
        const behind = here.some((each) => each.damaged) ? "damaged" : "";
        return html`<div key=${part.id} class=${`part ${kind} ${behind}`} title=${title}
            style=${{ left: `${(low / HASHES) * 100}%`, width: `${width * 100}%` }}>
          ${width > 0.09 && here.length > 0 && html`<span>${here.map((each) => each.name).join(", ")}</span>`}
        </div>`;
      })}
    </div>
  </div>`;
}
