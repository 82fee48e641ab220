// The form that makes a table.

import { Dialog, Failure, address, call, html, useState } from "./lib.js";

const TYPES = [["S", "text"], ["N", "number"], ["B", "binary"]];
const VIEWS = [["", "no stream"], ["KEYS_ONLY", "keys only"], ["NEW_IMAGE", "new image"], ["OLD_IMAGE", "old image"], ["NEW_AND_OLD_IMAGES", "new and old images"]];

const key = (name = "") => ({ name, type: "S" });

// The request that a form stands for.
export function creationRequest(form) {
  const types = {};
  const schema = (hash, range) => {
    types[hash.name] = hash.type;
    const keys = [{ AttributeName: hash.name, KeyType: "HASH" }];
    if (range.name) {
      types[range.name] = range.type;
      keys.push({ AttributeName: range.name, KeyType: "RANGE" });
    }
    return keys;
  };
  const units = () => ({ ReadCapacityUnits: Number(form.read), WriteCapacityUnits: Number(form.write) });
  const provisioned = form.billing === "PROVISIONED";
  const request = { TableName: form.name, KeySchema: schema(form.hash, form.range), BillingMode: form.billing };
  if (provisioned) request.ProvisionedThroughput = units();
  if (form.view) request.StreamSpecification = { StreamEnabled: true, StreamViewType: form.view };
  if (form.indexes.length) {
    request.GlobalSecondaryIndexes = form.indexes.map((index) => ({
      IndexName: index.name,
      KeySchema: schema(index.hash, index.range),
      Projection: { ProjectionType: "ALL" },
      ...(provisioned ? { ProvisionedThroughput: units() } : {}),
    }));
  }
  request.AttributeDefinitions = Object.entries(types).map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType }));
  return request;
}

export function TableForm({ close }) {
  const [form, setForm] = useState({ name: "", hash: key("id"), range: key(), billing: "PAY_PER_REQUEST", read: 5, write: 5, view: "", indexes: [] });
  const [error, setError] = useState(null);
  const change = (part) => setForm((old) => ({ ...old, ...part }));
  const changeIndex = (number, part) =>
    change({ indexes: form.indexes.map((each, at) => (at === number ? { ...each, ...part } : each)) });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await call("CreateTable", creationRequest(form));
      location.hash = address("tables", [form.name]);
      close();
    } catch (caught) {
      setError(caught);
    }
  };
  return html`<${Dialog} title="Create table" close=${close} wide>
    <form onSubmit=${submit} class="stack">
      <label>Name <input required value=${form.name} onInput=${(event) => change({ name: event.target.value })} spellcheck="false" autofocus /></label>
      <div class="columns">
        <${KeyField} title="Partition key" value=${form.hash} change=${(hash) => change({ hash })} required />
        <${KeyField} title="Sort key, if any" value=${form.range} change=${(range) => change({ range })} />
      </div>
      <div class="columns">
        <label>Billing <select value=${form.billing} onChange=${(event) => change({ billing: event.target.value })}>
          <option value="PAY_PER_REQUEST">on demand</option><option value="PROVISIONED">provisioned</option></select></label>
        ${form.billing === "PROVISIONED" && html`
          <label>Read units <input type="number" min="1" value=${form.read} onInput=${(event) => change({ read: event.target.value })} /></label>
          <label>Write units <input type="number" min="1" value=${form.write} onInput=${(event) => change({ write: event.target.value })} /></label>`}
        <label>Stream <select value=${form.view} onChange=${(event) => change({ view: event.target.value })}>
          ${VIEWS.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}</select></label>
      </div>
      ${form.indexes.map((index, number) => html`<fieldset key=${number}><legend>Global index ${number + 1}</legend>
        <div class="columns">
          <label>Name <input required value=${index.name} onInput=${(event) => changeIndex(number, { name: event.target.value })} spellcheck="false" /></label>
          <${KeyField} title="Partition key" value=${index.hash} change=${(hash) => changeIndex(number, { hash })} required />
          <${KeyField} title="Sort key, if any" value=${index.range} change=${(range) => changeIndex(number, { range })} />
          <button type="button" class="plain" onClick=${() => change({ indexes: form.indexes.filter((_, at) => at !== number) })}>Remove</button>
        </div></fieldset>`)}
      <div><button type="button" onClick=${() => change({ indexes: [...form.indexes, { name: "", hash: key(), range: key() }] })}>Add a global index</button></div>
      <${Failure} error=${error} />
      <footer><button class="primary">Create table</button></footer>
    </form>
  <//>`;
}

function KeyField({ title, value, change, required }) {
  return html`<div class="pair">
    <label>${title} <input required=${required} value=${value.name} spellcheck="false" onInput=${(event) => change({ ...value, name: event.target.value })} /></label>
    <label>Type <select value=${value.type} onChange=${(event) => change({ ...value, type: event.target.value })}>
      ${TYPES.map(([type, text]) => html`<option key=${type} value=${type}>${text}</option>`)}</select></label>
  </div>`;
}
