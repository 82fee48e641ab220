// What follows changes: streams, the functions they run, cache clusters, and links to other regions.

import {
  Badge, Empty, Failure, Panel, State, address, call, count, html, percent, rate, seconds, size, store, useAsked,
} from "./lib.js";

const AGAIN_MS = 5000;
const SHARDS_MAX = 500;

async function streams() {
  const found = [];
  let start;
  do {
    const page = await call("ListStreams", start ? { ExclusiveStartStreamArn: start } : {});
    found.push(...page.Streams);
    start = page.LastEvaluatedStreamArn;
  } while (start && found.length < 200);
  return Promise.all(found.map(async (each) => {
    const shards = [];
    let description = {};
    let last;
    do {
      const page = await call("DescribeStream", { StreamArn: each.StreamArn, ...(last ? { ExclusiveStartShardId: last } : {}) });
      description = page.StreamDescription;
      shards.push(...description.Shards);
      last = description.LastEvaluatedShardId;
    } while (last && shards.length < SHARDS_MAX);
    return { ...description, open: shards.filter((shard) => !shard.SequenceNumberRange.EndingSequenceNumber).length, shards: shards.length };
  }));
}

const mappings = async () => (await call("ListEventSourceMappings", {})).EventSourceMappings;

export function StreamsPage() {
  return html`<h1>Streams and caches</h1>
    <${Streams} /><${Triggers} /><${Caches} /><${Links} />`;
}

function Streams() {
  const { data, error } = useAsked(streams, [], AGAIN_MS);
  return html`<${Panel} title="Streams">
    <${Failure} error=${error} />
    ${data && data.length === 0 && html`<${Empty}>No table has a stream.<//>`}
    ${data && data.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th>Table</th><th>Status</th><th>Records have</th><th class="right">Open shards</th><th class="right">Shards in all</th><th>Since</th></tr></thead>
      <tbody>${data.map((each) => html`<tr key=${each.StreamArn}>
        <td><a href=${address("tables", [each.TableName])}>${each.TableName}</a></td>
        <td><${State}>${each.StreamStatus}<//></td>
        <td>${each.StreamViewType.toLowerCase().replaceAll("_", " ")}</td>
        <td class="right">${count(each.open)}</td><td class="right">${count(each.shards)}${each.shards >= SHARDS_MAX ? "+" : ""}</td>
        <td>${new Date(each.CreationRequestDateTime * 1000).toLocaleString("en-GB")}</td>
      </tr>`)}</tbody></table></div>`}
  <//>`;
}

function Triggers() {
  const { functions } = store.live.view;
  const running = functions.length > 0;
  // A server that runs no functions knows nothing of the Lambda API.
  const { data, error } = useAsked(async () => (running ? mappings() : []), [running], AGAIN_MS);
  const states = Object.fromEntries((data || []).map((each) => [`${each.FunctionArn?.split(":")[6]} ${tableOf(each.EventSourceArn)}`, each]));
  return html`<${Panel} title="Functions on changes">
    <${Failure} error=${error} />
    ${functions.length === 0 && html`<${Empty}>No function has run yet. <code>hashrange functions deploy</code> makes one; servers run them with <code>--triggers</code>.<//>`}
    ${functions.length > 0 && html`<div class="scroll"><table>
      <thead><tr><th>Function</th><th>Changes of</th><th>State</th><th class="right">Runs/s</th><th class="right">Mean time</th><th class="right">Errors/s</th>
        <th class="right">Records/s</th><th class="right">Retries/s</th><th class="right">Dropped/s</th><th class="right">Iterator age</th></tr></thead>
      <tbody>${functions.flatMap((each) => (each.mappings.length ? each.mappings : [null]).map((mapping, number) => html`<tr key=${`${each.name} ${mapping?.table}`}>
        <td>${number === 0 ? each.name : ""}</td>
        <td>${mapping?.table || ""}</td>
        <td>${mapping && states[`${each.name} ${mapping.table}`] && html`<${State}>${states[`${each.name} ${mapping.table}`].State}<//>`}</td>
        <td class="right">${number === 0 ? rate(each.runs) : ""}</td>
        <td class="right">${number === 0 ? seconds(each.duration_s) : ""}</td>
        <td class=${`right ${each.errors >= 0.05 ? "bad-text" : ""}`}>${number === 0 ? rate(each.errors) : ""}</td>
        <td class="right">${mapping ? rate(mapping.records) : ""}</td>
        <td class="right">${mapping ? rate(mapping.retries) : ""}</td>
        <td class=${`right ${mapping?.dropped >= 0.05 ? "bad-text" : ""}`}>${mapping ? rate(mapping.dropped) : ""}</td>
        <td class=${`right ${mapping?.age_s > 60 ? "bad-text" : ""}`}>${mapping ? seconds(mapping.age_s) : ""}</td>
      </tr>`))}</tbody></table></div>`}
  <//>`;
}

const tableOf = (arn) => (arn || "").split("/")[1];

// ---- caches

const sum = (nodes, name) => nodes.reduce((total, each) => total + (each.metrics[name] || 0), 0);

function hitShare(nodes, kind) {
  const hits = sum(nodes, `${kind}CacheHits`);
  const all = hits + sum(nodes, `${kind}CacheMisses`);
  return all ? hits / all : null;
}

// A count of now against the one of the look before, as a rate.
function perSecond(cluster, name) {
  const { live, before } = store;
  const old = before?.caches.find((each) => each.name === cluster.name);
  const passed = before ? (live.at_ms - before.at_ms) / 1000 : 0;
  return old && passed > 0 ? Math.max(0, sum(cluster.nodes, name) - sum(old.nodes, name)) / passed : null;
}

function Caches() {
  const { caches } = store.live;
  return html`<${Panel} title="Cache clusters (DAX)">
    ${caches.length === 0 && html`<${Empty}>There are none. <code>--dax</code> makes one.<//>`}
    ${caches.map((cluster) => html`<div key=${cluster.name} class="cache">
      <h3>${cluster.name} <code class="muted">${cluster.wire || ""}</code></h3>
      <dl class="facts">
        ${[["Items", "Item"], ["Queries", "Query"], ["Scans", "Scan"]].map(([title, kind]) => html`<div key=${kind}><dt>${title} from the cache</dt>
          <dd>${hitShare(cluster.nodes, kind) === null ? "–" : html`<strong>${percent(hitShare(cluster.nodes, kind))}</strong> of ${count(sum(cluster.nodes, `${kind}CacheHits`) + sum(cluster.nodes, `${kind}CacheMisses`))},
            ${" "}${rate(perSecond(cluster, `${kind}CacheHits`))} hits/s`}</dd></div>`)}
      </dl>
      <div class="scroll"><table>
        <thead><tr><th>Node</th><th>Zone</th><th>State</th><th class="right">Item hits</th><th class="right">Item misses</th><th class="right">Query hits</th><th class="right">Query misses</th><th class="right">Cached</th></tr></thead>
        <tbody>${cluster.nodes.map((node) => html`<tr key=${node.id}>
          <td>${node.id}${node.primary && html` <${Badge}>primary<//>`}</td><td>${node.az}</td><td><${State}>${node.state}<//></td>
          ${["ItemCacheHits", "ItemCacheMisses", "QueryCacheHits", "QueryCacheMisses"].map((name) => html`<td key=${name} class="right">${count(node.metrics[name])}</td>`)}
          <td class="right">${size(node.metrics.EstimatedDbSize)}</td>
        </tr>`)}</tbody></table></div>
    </div>`)}
  <//>`;
}

function Links() {
  const { links } = store.live;
  if (!links.length) return null;
  const ms = (value) => (value === null ? "–" : seconds(value / 1000));
  return html`<${Panel} title="Links of global tables"><div class="scroll"><table>
    <thead><tr><th>Table</th><th>From</th><th>To</th><th class="right">Keys waiting</th><th class="right">Oldest change waiting</th>
      <th class="right">Shipped</th><th class="right">Latency p50</th><th class="right">p99</th></tr></thead>
    <tbody>${links.map((each) => html`<tr key=${`${each.table} ${each.source} ${each.destination}`}>
      <td>${each.table}</td><td>${each.source}</td><td>${each.destination}</td>
      <td class="right">${count(each.pending_keys)}</td>
      <td class=${`right ${each.oldest_pending_s > 30 ? "bad-text" : ""}`}>${each.pending_keys ? seconds(each.oldest_pending_s) : "–"}</td>
      <td class="right">${count(each.shipped_items)}</td>
      <td class="right">${ms(each.latency_p50_ms)}</td><td class="right">${ms(each.latency_p99_ms)}</td></tr>`)}</tbody></table></div><//>`;
}
