// The item explorer: queries and scans with filters, page by page.

import {
  Empty, Failure, Panel, State, address, call, count, html, store, useAsked, useEffect, useMemo, useState,
} from "./lib.js";
import { FILTER_OPERATORS, RANGE_OPERATORS, cell, columns, consumed, has, request, sources } from "./dynamo.js";
import { ItemView } from "./item.js";

const LIMITS = [25, 50, 100, 250];
const COLUMNS_MAX = 7;
const SCALARS = [["S", "text"], ["N", "number"], ["BOOL", "boolean"], ["B", "binary"]];

async function names() {
  const found = [];
  let start;
  do {
    const page = await call("ListTables", start ? { ExclusiveStartTableName: start } : {});
    found.push(...page.TableNames);
    start = page.LastEvaluatedTableName;
  } while (start);
  return found;
}

export function ExplorePage({ where }) {
  const [chosen] = where.parts;
  const { data, error } = useAsked(names, []);
  const name = chosen || data?.[0];
  return html`
    <div class="title"><h1>Items</h1>
      ${data && data.length > 0 && html`<label class="inline">Table <select value=${name} onChange=${(event) => { location.hash = address("items", [event.target.value]); }}>
        ${data.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>`}</div>
    <${Failure} error=${error} />
    ${data && data.length === 0 && html`<${Empty}>There are no tables yet.<//>`}
    ${name && html`<${Table} key=${name} name=${name} index=${where.query.get("index") || ""} />`}
  `;
}

function Table({ name, index }) {
  const { data, error } = useAsked(() => call("DescribeTable", { TableName: name }), [name]);
  if (error) return html`<${Failure} error=${error} />`;
  if (!data) return null;
  return html`<${Explorer} key=${index} table=${data.Table} index=${index} />`;
}

const emptyForm = (index) => ({
  mode: "scan", index, hash: {}, range: [], filters: [], backward: false, limit: 50, consistent: false,
});

function Explorer({ table, index }) {
  const all = useMemo(() => sources(table), [table]);
  const [form, setForm] = useState(() => ({ ...emptyForm(index), range: rangeOf(all, index) }));
  const [pages, setPages] = useState([]);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [opened, setOpened] = useState(null);
  const change = (part) => setForm((old) => ({ ...old, ...part }));

  // `before` are the pages already seen: the next one begins where the last of them ended.
  const run = async (before) => {
    setBusy(true);
    setError(null);
    try {
      const asked = before.length ? before[before.length - 1].asked : request(table, form);
      const start = before.length ? before[before.length - 1].answer.LastEvaluatedKey : undefined;
      const began = performance.now();
      const answer = await call(asked.KeyConditionExpression ? "Query" : "Scan", start ? { ...asked, ExclusiveStartKey: start } : asked);
      setPages([...before, { asked, answer, took_ms: performance.now() - began }]);
    } catch (caught) {
      setError(caught);
    } finally {
      setBusy(false);
    }
  };
  useEffect(() => {
    run([]);
  }, []);
  const page = pages[pages.length - 1];
  return html`
    <${Panel}>
      <form class="stack" onSubmit=${(event) => { event.preventDefault(); if (!busy) run([]); }}>
        <${Source} table=${table} all=${all} form=${form} change=${change} />
        <${Filters} filters=${form.filters} change=${(filters) => change({ filters })} />
        <div class="row">
          <button class="primary" disabled=${busy}>Run</button>
          <label class="inline">Page of <select value=${form.limit} onChange=${(event) => change({ limit: Number(event.target.value) })}>
            ${LIMITS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
          ${form.mode === "query" && html`<label class="check"><input type="checkbox" checked=${form.backward} onChange=${(event) => change({ backward: event.target.checked })} /> descending</label>`}
          <label class="check"><input type="checkbox" checked=${form.consistent} onChange=${(event) => change({ consistent: event.target.checked })} /> strongly consistent</label>
          ${store.session.edit && html`<button type="button" class="end" onClick=${() => setOpened({ item: null })}>New item</button>`}
        </div>
      </form>
      <${Failure} error=${error} />
    <//>
    ${page && html`<${Results} table=${table} pages=${pages} page=${page} busy=${busy}
        open=${(item) => setOpened({ item })} next=${() => run(pages)} back=${() => setPages(pages.slice(0, -1))} />`}
    ${opened && html`<${ItemView} table=${table} item=${opened.item} close=${(changed) => { setOpened(null); if (changed) run(pages.slice(0, -1)); }} />`}
  `;
}

function rangeOf(all, index) {
  const source = all.find((each) => each.name === index) || all[0];
  return source.range.map((key) => ({ ...key, operator: "=", first: "", second: "" }));
}

function Source({ table, all, form, change }) {
  const source = all.find((each) => each.name === form.index) || all[0];
  const choose = (name) => change({ index: name, hash: {}, range: rangeOf(all, name) });
  const changeRange = (number, part) => change({ range: form.range.map((each, at) => (at === number ? { ...each, ...part } : each)) });
  return html`<div class="fields">
    <label>Operation <select value=${form.mode} onChange=${(event) => change({ mode: event.target.value })}>
      <option value="scan">Scan</option><option value="query">Query</option></select></label>
    <label>From <select value=${form.index} onChange=${(event) => choose(event.target.value)}>
      ${all.map((each) => html`<option key=${each.name} value=${each.name}>${each.name ? `${each.name} (${each.kind})` : `${table.TableName} (table)`}</option>`)}</select></label>
    ${form.mode === "query" && source.hash.map((key) => html`<label key=${key.name}><code>${key.name}</code>
      <input value=${has(form.hash, key.name) ? form.hash[key.name] : ""} placeholder=${key.type === "N" ? "number" : "exact value"} spellcheck="false"
        onInput=${(event) => change({ hash: { ...form.hash, [key.name]: event.target.value } })} /></label>`)}
    ${form.mode === "query" && form.range.map((key, number) => html`<div class="pair range" key=${key.name}>
      <label><code>${key.name}</code> <select value=${key.operator} onChange=${(event) => changeRange(number, { operator: event.target.value })}>
        ${RANGE_OPERATORS.filter((each) => each !== "begins with" || key.type !== "N").map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
      <label><span class="hidden">value</span><input value=${key.first} placeholder="any" spellcheck="false" onInput=${(event) => changeRange(number, { first: event.target.value })} /></label>
      ${key.operator === "between" && html`<label><span class="hidden">and</span><input value=${key.second} spellcheck="false" onInput=${(event) => changeRange(number, { second: event.target.value })} /></label>`}
    </div>`)}
  </div>`;
}

function Filters({ filters, change }) {
  const changeOne = (number, part) => change(filters.map((each, at) => (at === number ? { ...each, ...part } : each)));
  const add = () => change([...filters, { name: "", type: "S", operator: "=", first: "", second: "" }]);
  return html`<div class="filters">
    ${filters.map((each, number) => html`<div class="fields" key=${number}>
      <label>Filter by <input value=${each.name} placeholder="attribute" spellcheck="false" onInput=${(event) => changeOne(number, { name: event.target.value })} /></label>
      <label>that <select value=${each.operator} onChange=${(event) => changeOne(number, { operator: event.target.value })}>
        ${FILTER_OPERATORS.map((operator) => html`<option key=${operator} value=${operator}>${operator}</option>`)}</select></label>
      ${!each.operator.includes("exist") && html`
        <label>type <select value=${each.type} onChange=${(event) => changeOne(number, { type: event.target.value })}>
          ${SCALARS.map(([type, text]) => html`<option key=${type} value=${type}>${text}</option>`)}</select></label>
        <label>value <input value=${each.first} spellcheck="false" onInput=${(event) => changeOne(number, { first: event.target.value })} /></label>`}
      ${each.operator === "between" && html`<label>and <input value=${each.second} spellcheck="false" onInput=${(event) => changeOne(number, { second: event.target.value })} /></label>`}
      <button type="button" class="plain" aria-label="Remove this filter" onClick=${() => change(filters.filter((_, at) => at !== number))}>✕</button>
    </div>`)}
    <button type="button" class="plain" onClick=${add}>+ Add a filter</button>
  </div>`;
}

function Results({ table, pages, page, busy, open, next, back }) {
  const items = page.answer.Items;
  const { shown, left } = columns(table, page.asked.IndexName || "", items, COLUMNS_MAX);
  const more = Boolean(page.answer.LastEvaluatedKey);
  return html`<section class="panel flush results">
    <header class="bar">
      <span><strong>${count(page.answer.Count)}</strong> item${page.answer.Count === 1 ? "" : "s"}
        ${page.answer.ScannedCount !== page.answer.Count && html` of ${count(page.answer.ScannedCount)} read`}</span>
      <span class="muted">consumed ${consumed(page.answer.ConsumedCapacity)} · ${Math.round(page.took_ms)} ms</span>
      <span class="end row">
        <button type="button" disabled=${busy || pages.length < 2} onClick=${back}>Back</button>
        <span class="muted">page ${pages.length}</span>
        <button type="button" disabled=${busy || !more} onClick=${next}>Next</button>
      </span>
    </header>
    ${items.length === 0 && html`<${Empty}>${more ? "Nothing on this page matched; there are more pages." : "Nothing was found."}<//>`}
    ${items.length > 0 && html`<div class="scroll"><table class="items">
      <thead><tr>${shown.map((name) => html`<th key=${name}>${name}</th>`)}${left > 0 && html`<th class="muted">+${left}</th>`}</tr></thead>
      <tbody>${items.map((item, number) => html`<tr key=${number} class="open" onClick=${() => open(item)}>
        ${shown.map((name, at) => html`<td key=${name} title=${cell(item, name)}>${at === 0
          ? html`<button type="button" class="link" onClick=${(event) => { event.stopPropagation(); open(item); }}>${cell(item, name)}</button>`
          : cell(item, name)}</td>`)}${left > 0 && html`<td></td>`}
      </tr>`)}</tbody></table></div>`}
  </section>`;
}
