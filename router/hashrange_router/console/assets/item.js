// One item: as DynamoDB JSON or plain JSON, and edited in edit mode so that nobody's change is lost.

import { Dialog, Failure, Notice, call, html, store, useEffect, useState } from "./lib.js";
import { consumed, creation, keyOf, plainText, removal, update } from "./dynamo.js";

const CONFLICT = "ConditionalCheckFailedException";

export function ItemView({ table, item, close }) {
  const fresh = item === null;
  const [read, setRead] = useState(() => (fresh ? emptyItem(table) : null));
  const [plain, setPlain] = useState(false);
  const [text, setText] = useState(() => (fresh ? JSON.stringify(read, null, 2) : ""));
  const [copying, setCopying] = useState(false);
  const [error, setError] = useState(null);
  const [note, setNote] = useState("");
  const [changed, setChanged] = useState(false);
  const { edit } = store.session;
  const creating = fresh || copying;

  const show = (found) => {
    setRead(found);
    setText(JSON.stringify(found, null, 2));
  };
  // The whole item as it is now: an index may have told a part of it, some time ago.
  const load = async () => {
    setError(null);
    try {
      const answer = await call("GetItem", { TableName: table.TableName, Key: keyOf(table, item), ConsistentRead: true, ReturnConsumedCapacity: "TOTAL" });
      if (!answer.Item) throw new Error("this item does not exist any more");
      show(answer.Item);
      setNote(`read with ${consumed(answer.ConsumedCapacity)}`);
    } catch (caught) {
      setError(caught);
    }
  };
  useEffect(() => {
    if (!fresh) load();
  }, []);

  const attempt = async (work) => {
    setError(null);
    setNote("");
    try {
      setNote(await work());
    } catch (caught) {
      setError(caught);
    }
  };
  const save = () => attempt(async () => {
    const edited = parsed(text);
    if (creating) {
      const answer = await call("PutItem", creation(table, edited));
      setChanged(true);
      show(edited);
      close(true);
      return `stored with ${consumed(answer.ConsumedCapacity)}`;
    }
    const asked = update(table, read, edited);
    if (asked === null) return "nothing was changed";
    const answer = await call("UpdateItem", asked);
    setChanged(true);
    show(edited);
    return `saved with ${consumed(answer.ConsumedCapacity)}`;
  });
  const remove = () => attempt(async () => {
    await call("DeleteItem", removal(table, read));
    close(true);
    return "deleted";
  });

  return html`<${Dialog} title=${creating ? "New item" : "Item"} close=${() => close(changed)} wide>
    <div class="row tabs" role="group" aria-label="Form of the item">
      <button type="button" aria-pressed=${!plain} onClick=${() => setPlain(false)}>DynamoDB JSON</button>
      <button type="button" aria-pressed=${plain} onClick=${() => setPlain(true)}>Plain JSON</button>
      <span class="end muted">${note}</span>
    </div>
    ${plain
      ? html`<pre class="code" tabindex="0">${plainOf(text)}</pre>`
      : html`<textarea class="code" rows="18" spellcheck="false" aria-label="Item as DynamoDB JSON" readonly=${!edit}
          value=${text} onInput=${(event) => setText(event.target.value)} />`}
    ${error && (error.type === CONFLICT
      ? html`<${Notice} kind="warm">${creating ? "There is an item with this key already; it was left as it is." : "Somebody has changed this item since it was read. Nothing was saved: read it again, and make your change anew."}<//>`
      : html`<${Failure} error=${error} />`)}
    ${edit && html`<footer>
      ${!creating && html`<${Delete} remove=${remove} />
        <button type="button" onClick=${() => { setCopying(true); setPlain(false); }}>Make a copy</button>
        <button type="button" onClick=${load}>Read again</button>`}
      <button type="button" class="primary" disabled=${read === null} onClick=${save}>${creating ? "Store item" : "Save"}</button>
    </footer>`}
  <//>`;
}

function Delete({ remove }) {
  const [sure, setSure] = useState(false);
  return sure
    ? html`<button type="button" class="danger" onClick=${() => { setSure(false); remove(); }}>Really delete</button>`
    : html`<button type="button" class="plain danger-text" onClick=${() => setSure(true)}>Delete</button>`;
}

const typeOf = (table, name) => table.AttributeDefinitions.find((each) => each.AttributeName === name).AttributeType;

const emptyItem = (table) =>
  Object.fromEntries(table.KeySchema.map((each) => [each.AttributeName, { [typeOf(table, each.AttributeName)]: "" }]));

function parsed(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`this is not JSON: ${error.message}`);
  }
  if (!found || typeof found !== "object" || Array.isArray(found)) throw new Error("an item is an object of attributes");
  return found;
}

function plainOf(text) {
  try {
    return plainText({ M: parsed(text) });
  } catch (error) {
    return error.message;
  }
}
