// Tables: what there is, each one in detail, made and deleted in edit mode.

import {
  Badge, Dialog, Empty, Failure, Notice, Panel, State, address, call, count, html, rate, size, store, useAsked, useState,
} from "./lib.js";
import { TableForm } from "./table_form.js";

const AGAIN_MS = 5000;
const BILLING = { PROVISIONED: "provisioned", PAY_PER_REQUEST: "on demand" };

// Every table with its description; tables that go away meanwhile are left out.
export async function describeAll() {
  const names = [];
  let request = {};
  do {
    const page = await call("ListTables", request);
    names.push(...page.TableNames);
    request = { ExclusiveStartTableName: page.LastEvaluatedTableName };
  } while (request.ExclusiveStartTableName && names.length < 1000);
  const told = await Promise.all(
    names.map(async (TableName) => {
      try {
        const [{ Table }, ttl] = await Promise.all([call("DescribeTable", { TableName }), call("DescribeTimeToLive", { TableName })]);
        return { ...Table, ttl: ttl.TimeToLiveDescription };
      } catch (error) {
        if (error.status === 400) return null;
        throw error;
      }
    }),
  );
  return told.filter(Boolean);
}

export const billing = (table) => BILLING[table.BillingModeSummary?.BillingMode || "PROVISIONED"];

const load = (name) => store.live.view.tables.find((each) => each.name === name)?.load;

export function TablesPage({ where }) {
  const { data, error, again } = useAsked(describeAll, [], AGAIN_MS);
  const [making, setMaking] = useState(false);
  const [chosen] = where.parts;
  const table = data?.find((each) => each.TableName === chosen);
  return html`
    <div class="title"><h1>Tables</h1>
      ${store.session.edit && html`<button type="button" class="primary" onClick=${() => setMaking(true)}>Create table</button>`}</div>
    <${Failure} error=${error} />
    ${data && data.length === 0 && html`<${Empty}>There are no tables yet.${" "}
      ${store.session.edit ? "Create one here, or with any SDK." : "Create one with any SDK; this console is read-only."}<//>`}
    ${data && data.length > 0 && html`<${List} tables=${data} chosen=${chosen} />`}
    ${chosen && data && !table && html`<${Notice} kind="warm">There is no table ${chosen}.<//>`}
    ${table && html`<${Detail} key=${table.TableName} table=${table} again=${again} />`}
    ${making && html`<${TableForm} close=${() => { setMaking(false); again(); }} />`}
  `;
}

function List({ tables, chosen }) {
  return html`<section class="panel flush"><div class="scroll"><table>
    <thead><tr><th>Table</th><th>Status</th><th>Billing</th><th class="right">Requests/s</th><th class="right">Items</th>
      <th class="right">Size</th><th>Indexes</th><th>Stream</th><th>Time to live</th><th>Regions</th></tr></thead>
    <tbody>${tables.map((table) => html`<tr key=${table.TableName} aria-selected=${table.TableName === chosen}>
      <td><a href=${address("tables", [table.TableName])}>${table.TableName}</a></td>
      <td><${State}>${table.TableStatus}<//></td>
      <td>${billing(table)}</td>
      <td class="right">${rate(load(table.TableName)?.requests)}</td>
      <td class="right">${count(table.ItemCount)}</td>
      <td class="right">${size(table.TableSizeBytes)}</td>
      <td>${indexCount(table)}</td>
      <td>${table.StreamSpecification?.StreamEnabled ? spoken(table.StreamSpecification.StreamViewType) : ""}</td>
      <td>${table.ttl?.TimeToLiveStatus === "ENABLED" ? table.ttl.AttributeName : ""}</td>
      <td>${(table.Replicas || []).map((each) => each.RegionName).join(", ")}</td>
    </tr>`)}</tbody>
  </table></div></section>`;
}

const spoken = (name) => name.toLowerCase().replaceAll("_", " ");

function indexCount(table) {
  const local = table.LocalSecondaryIndexes?.length || 0;
  const global = table.GlobalSecondaryIndexes?.length || 0;
  return [global && `${global} global`, local && `${local} local`].filter(Boolean).join(", ");
}

// ---- one table

const types = { S: "text", N: "number", B: "binary" };

function keyText(table, schema) {
  return schema.map((each) => {
    const type = table.AttributeDefinitions.find((known) => known.AttributeName === each.AttributeName)?.AttributeType;
    return html`<span class="key-part"><code>${each.AttributeName}</code><small class="muted">${" "}${types[type]}${each.KeyType === "RANGE" ? ", sort" : ""}</small></span>`;
  });
}

const capacity = (given) =>
  given && (given.ReadCapacityUnits || given.WriteCapacityUnits)
    ? `${count(given.ReadCapacityUnits)} read, ${count(given.WriteCapacityUnits)} write` : "";

function Detail({ table, again }) {
  const [deleting, setDeleting] = useState(false);
  const facts = [
    ["Key", keyText(table, table.KeySchema)],
    ["Billing", `${billing(table)}${capacity(table.ProvisionedThroughput) ? `: ${capacity(table.ProvisionedThroughput)} units` : ""}`],
    ["Made", new Date(table.CreationDateTime * 1000).toLocaleString("en-GB")],
    ["Class", spoken(table.TableClassSummary?.TableClass || "STANDARD")],
    ["Deletion protection", table.DeletionProtectionEnabled ? "on" : "off"],
    ["Time to live", table.ttl?.TimeToLiveStatus === "ENABLED" ? html`on, by <code>${table.ttl.AttributeName}</code>` : "off"],
    ["Stream", table.StreamSpecification?.StreamEnabled ? spoken(table.StreamSpecification.StreamViewType) : "off"],
    ["Name", html`<code class="arn">${table.TableArn}</code>`],
  ];
  return html`<${Panel} title=${table.TableName} aside=${html`<${State}>${table.TableStatus}<//>
      <a class="button" href=${address("items", [table.TableName])}>Explore items</a>
      ${store.session.edit && html`<button type="button" class="danger-text" onClick=${() => setDeleting(true)}>Delete table</button>`}`}>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <${Indexes} table=${table} />
    <${Replicas} table=${table} />
    ${deleting && html`<${DeleteTable} name=${table.TableName} close=${() => { setDeleting(false); again(); }} />`}
  <//>`;
}

function Indexes({ table }) {
  const rows = [
    ...(table.GlobalSecondaryIndexes || []).map((each) => ({ ...each, kind: "global" })),
    ...(table.LocalSecondaryIndexes || []).map((each) => ({ ...each, kind: "local" })),
  ];
  if (!rows.length) return null;
  return html`<h3>Indexes</h3><div class="scroll"><table>
    <thead><tr><th>Index</th><th>Kind</th><th>Status</th><th>Key</th><th>Has</th><th class="right">Items</th><th class="right">Size</th><th>Capacity</th></tr></thead>
    <tbody>${rows.map((each) => html`<tr key=${each.IndexName}>
      <td><a href=${address("items", [table.TableName], { index: each.IndexName })}>${each.IndexName}</a></td>
      <td>${each.kind}</td>
      <td>${each.IndexStatus && html`<${State}>${each.Backfilling ? "backfilling" : each.IndexStatus}<//>`}</td>
      <td>${keyText(table, each.KeySchema)}</td>
      <td>${each.Projection.ProjectionType === "INCLUDE" ? each.Projection.NonKeyAttributes.join(", ") : spoken(each.Projection.ProjectionType)}</td>
      <td class="right">${count(each.ItemCount)}</td><td class="right">${size(each.IndexSizeBytes)}</td>
      <td>${capacity(each.ProvisionedThroughput)}</td>
    </tr>`)}</tbody></table></div>`;
}

function Replicas({ table }) {
  if (!table.Replicas?.length) return null;
  return html`<h3>Regions</h3><div class="scroll"><table>
    <thead><tr><th>Region</th><th>Status</th><th>Note</th></tr></thead>
    <tbody>${table.Replicas.map((each) => html`<tr key=${each.RegionName}><td>${each.RegionName}</td>
      <td><${State}>${each.ReplicaStatus || "ACTIVE"}<//></td><td>${each.ReplicaStatusDescription || ""}</td></tr>`)}</tbody></table></div>`;
}

function DeleteTable({ name, close }) {
  const [typed, setTyped] = useState("");
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await call("DeleteTable", { TableName: name });
      location.hash = address("tables");
      close();
    } catch (caught) {
      setError(caught);
    }
  };
  return html`<${Dialog} title="Delete table" close=${close}>
    <form onSubmit=${submit}>
      <p>All items of <strong>${name}</strong> are deleted with it. This cannot be undone.</p>
      <label>Type the table's name to go on <input value=${typed} onInput=${(event) => setTyped(event.target.value)} spellcheck="false" autofocus /></label>
      <${Failure} error=${error} />
      <footer><button class="danger" disabled=${typed !== name}>Delete table</button></footer>
    </form>
  <//>`;
}
