// DynamoDB's values, keys and expressions, without anything of a page: pure.

// ---- values

export const TYPES = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];

const typeOf = (value) => Object.keys(value)[0];

// An attribute may be called `constructor`, or whatever else every object of JavaScript has: only own members count.
export const has = (item, name) => Object.hasOwn(item, name);

// An attribute value as plain JSON text; numbers keep all their digits, which JavaScript's own would not.
export function plainText(value, indent = 0) {
  const type = typeOf(value);
  const inner = value[type];
  const pad = "  ".repeat(indent + 1);
  const end = "  ".repeat(indent);
  if (type === "N") return inner;
  if (type === "NULL") return "null";
  if (type === "M") {
    const names = Object.keys(inner);
    if (!names.length) return "{}";
    return `{\n${names.map((name) => `${pad}${JSON.stringify(name)}: ${plainText(inner[name], indent + 1)}`).join(",\n")}\n${end}}`;
  }
  if (type === "L" || type === "SS" || type === "BS" || type === "NS") {
    if (!inner.length) return "[]";
    const one = (each) => (type === "L" ? plainText(each, indent + 1) : type === "NS" ? each : JSON.stringify(each));
    return `[\n${inner.map((each) => pad + one(each)).join(",\n")}\n${end}]`;
  }
  return JSON.stringify(inner);
}

// A short form for a cell.
export function shortText(value) {
  if (value === undefined) return "";
  const type = typeOf(value);
  const inner = value[type];
  if (type === "S") return inner;
  if (type === "N") return inner;
  if (type === "BOOL") return String(inner);
  if (type === "NULL") return "null";
  if (type === "B") return `${inner.length > 24 ? `${inner.slice(0, 24)}…` : inner} (binary)`;
  return plainText(value).replace(/\s*\n\s*/g, " ");
}

// What somebody typed, as a value of a scalar type; throws what is wrong with it.
export function scalar(type, text) {
  if (type === "BOOL") return { BOOL: text === "true" };
  if (type === "NULL") return { NULL: true };
  if (type === "N") {
    if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text)) throw new Error(`${text || "nothing"} is no number`);
    return { N: text.trim() };
  }
  return { [type]: text };
}

// ---- tables

// What can be queried: the table and its indexes, each with the attributes of its key.
export function sources(table) {
  const types = Object.fromEntries(table.AttributeDefinitions.map((each) => [each.AttributeName, each.AttributeType]));
  const make = (name, kind, schema, projection) => {
    const of = (role) =>
      schema.filter((each) => each.KeyType === role).map((each) => ({ name: each.AttributeName, type: types[each.AttributeName] }));
    return { name, kind, hash: of("HASH"), range: of("RANGE"), projection };
  };
  return [
    make("", "table", table.KeySchema, "ALL"),
    ...(table.LocalSecondaryIndexes || []).map((each) => make(each.IndexName, "local index", each.KeySchema, each.Projection.ProjectionType)),
    ...(table.GlobalSecondaryIndexes || []).map((each) => make(each.IndexName, "global index", each.KeySchema, each.Projection.ProjectionType)),
  ];
}

export const keyNames = (table) => table.KeySchema.map((each) => each.AttributeName);

export const keyOf = (table, item) => Object.fromEntries(keyNames(table).map((name) => [name, item[name]]));

// Columns that items are shown in: the key, then what most items have, `most` at most if the key leaves room; and how
// many attributes are left out.
export function columns(table, index, items, most) {
  const source = sources(table).find((each) => each.name === index);
  const keys = [...new Set([...keyNames(table), ...(source ? [...source.hash, ...source.range].map((each) => each.name) : [])])];
  const counts = new Map();
  for (const item of items) for (const name of Object.keys(item)) counts.set(name, (counts.get(name) || 0) + 1);
  const others = [...counts.keys()].filter((name) => !keys.includes(name))
    .sort((one, other) => counts.get(other) - counts.get(one) || one.localeCompare(other));
  const room = Math.max(1, most - keys.length);
  return { shown: [...keys, ...others.slice(0, room)], left: Math.max(0, others.length - room) };
}

export const cell = (item, name) => (has(item, name) ? shortText(item[name]) : "");

// ---- expressions

class Names {
  constructor() {
    this.names = {};
    this.values = {};
  }

  name(name) {
    for (const [alias, known] of Object.entries(this.names)) if (known === name) return alias;
    const alias = `#n${Object.keys(this.names).length}`;
    this.names[alias] = name;
    return alias;
  }

  value(value) {
    const alias = `:v${Object.keys(this.values).length}`;
    this.values[alias] = value;
    return alias;
  }

  into(request) {
    if (Object.keys(this.names).length) request.ExpressionAttributeNames = this.names;
    if (Object.keys(this.values).length) request.ExpressionAttributeValues = this.values;
    return request;
  }
}

export const RANGE_OPERATORS = ["=", "<", "<=", ">", ">=", "between", "begins with"];
export const FILTER_OPERATORS = [
  "=", "<>", "<", "<=", ">", ">=", "between", "begins with", "contains", "exists", "does not exist",
];

function comparison(names, attribute, operator, type, first, second) {
  const name = names.name(attribute);
  if (operator === "exists") return `attribute_exists(${name})`;
  if (operator === "does not exist") return `attribute_not_exists(${name})`;
  const value = names.value(scalar(type, first));
  if (operator === "begins with") return `begins_with(${name}, ${value})`;
  if (operator === "contains") return `contains(${name}, ${value})`;
  if (operator === "between") return `${name} BETWEEN ${value} AND ${names.value(scalar(type, second))}`;
  return `${name} ${operator} ${value}`;
}

// The request of a Query or Scan. `form`: {mode, index, hash: {name: text}, range: [{name, type, operator, first,
// second}], filters: [{name, type, operator, first, second}], backward, limit, consistent}.
export function request(table, form) {
  const names = new Names();
  const built = { TableName: table.TableName, ReturnConsumedCapacity: "INDEXES", Limit: form.limit };
  if (form.index) built.IndexName = form.index;
  const source = sources(table).find((each) => each.name === form.index);
  if (form.mode === "query") {
    const parts = source.hash.map((key) => {
      const text = has(form.hash, key.name) ? form.hash[key.name] : "";
      if (text === "") throw new Error(`give a value of ${key.name}, the partition key`);
      return `${names.name(key.name)} = ${names.value(scalar(key.type, text))}`;
    });
    for (const key of form.range) {
      if ((key.first ?? "") === "") break;
      parts.push(comparison(names, key.name, key.operator, key.type, key.first, key.second ?? ""));
    }
    built.KeyConditionExpression = parts.join(" AND ");
    if (form.backward) built.ScanIndexForward = false;
  }
  if (form.consistent && source.kind !== "global index") built.ConsistentRead = true;
  const filters = form.filters.filter((each) => each.name);
  if (filters.length) {
    built.FilterExpression = filters
      .map((each) => comparison(names, each.name, each.operator, each.type, each.first ?? "", each.second ?? ""))
      .join(" AND ");
  }
  return names.into(built);
}

const CONDITIONS_MAX = 100;

export const same = (one, other) => canonical(one) === canonical(other);

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value && typeof value === "object") {
    return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
  }
  return JSON.stringify(value);
}

// A condition that the item still is what was read. Expressions have a limit: of an item with very many attributes the
// needed ones and some others are compared.
function unchanged(names, table, read, needed) {
  const keys = keyNames(table);
  const others = Object.keys(read).filter((name) => !keys.includes(name));
  const first = needed.filter((name) => others.includes(name));
  const compared = [...new Set([...first, ...others])].slice(0, Math.max(CONDITIONS_MAX, first.length));
  return [
    `attribute_exists(${names.name(keys[0])})`,
    ...compared.map((name) => `${names.name(name)} = ${names.value(read[name])}`),
  ];
}

// What saves an edited item: only attributes that were changed, and only if nobody changed the item meanwhile. null
// when nothing was changed; throws when the key was.
export function update(table, read, edited) {
  const keys = keyNames(table);
  for (const name of keys) {
    if (!same(read[name], edited[name])) throw new Error(`${name} is part of the key and cannot be changed; make a copy instead`);
  }
  const set = Object.keys(edited).filter((name) => !keys.includes(name) && !(has(read, name) && same(read[name], edited[name])));
  const removed = Object.keys(read).filter((name) => !has(edited, name));
  if (!set.length && !removed.length) return null;
  const names = new Names();
  const parts = [];
  if (set.length) parts.push(`SET ${set.map((name) => `${names.name(name)} = ${names.value(edited[name])}`).join(", ")}`);
  if (removed.length) parts.push(`REMOVE ${removed.map((name) => names.name(name)).join(", ")}`);
  const condition = unchanged(names, table, read, [...set, ...removed]);
  for (const name of set) if (!has(read, name)) condition.push(`attribute_not_exists(${names.name(name)})`);
  return names.into({
    TableName: table.TableName,
    Key: keyOf(table, read),
    UpdateExpression: parts.join(" "),
    ConditionExpression: condition.join(" AND "),
    ReturnConsumedCapacity: "INDEXES",
  });
}

// What deletes an item that is still what was read.
export function removal(table, read) {
  const names = new Names();
  const condition = unchanged(names, table, read, []);
  return names.into({
    TableName: table.TableName,
    Key: keyOf(table, read),
    ConditionExpression: condition.join(" AND "),
    ReturnConsumedCapacity: "INDEXES",
  });
}

// What stores an item under a key that nothing is stored under.
export function creation(table, item) {
  return {
    TableName: table.TableName,
    Item: item,
    ConditionExpression: "attribute_not_exists(#n0)",
    ExpressionAttributeNames: { "#n0": keyNames(table)[0] },
    ReturnConsumedCapacity: "INDEXES",
  };
}

// Consumed capacity in words: "1.5 units (0.5 of the table, 1 of by-status)".
export function consumed(capacity) {
  if (!capacity) return "";
  const units = (value) => `${value} unit${value === 1 ? "" : "s"}`;
  const indexes = { ...capacity.LocalSecondaryIndexes, ...capacity.GlobalSecondaryIndexes };
  const parts = Object.entries(indexes).map(([name, used]) => `${used.CapacityUnits} of ${name}`);
  if (!parts.length) return units(capacity.CapacityUnits);
  if (capacity.Table) parts.unshift(`${capacity.Table.CapacityUnits} of the table`);
  return `${units(capacity.CapacityUnits)} (${parts.join(", ")})`;
}
