// What all pages use: the view library, requests to the server, figures as text, small parts.

import {
  html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback,
} from "./vendor/htm-preact.js";
import { repeated } from "./polling.js";

export { html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback };

// ---- requests

export class ApiError extends Error {
  constructor(status, type, message, document) {
    super(message);
    this.status = status;
    this.type = type;
    this.document = document;
  }
}

let signedOut = () => {};

export function onSignedOut(listener) {
  signedOut = listener;
}

export async function api(path, body) {
  const options = { headers: { "x-hashrange-console": "1" }, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ApiError(0, "NoAnswer", "the server does not answer");
  }
  const text = await answer.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    document = { error: text };
  }
  if (answer.ok) return document;
  if (answer.status === 401) signedOut();
  const type = String(document.__type || "").split("#").pop();
  throw new ApiError(
    answer.status, type, document.error || document.message || document.Message || `HTTP ${answer.status}`, document,
  );
}

// An operation of the DynamoDB API; its error is thrown with the service's own type and words.
export const call = (operation, request) => api(`/api/call/${operation}`, request);

// ---- what is known, for all pages

export const store = { session: null, live: null, points: [], error: "", before: null };
const listeners = new Set();

export function publish(change) {
  Object.assign(store, change);
  for (const listener of listeners) listener();
}

export function useStore() {
  const [, redraw] = useState(0);
  useEffect(() => {
    const listener = () => redraw((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return store;
}

// ---- the address: #/page/part?name=value

// Somebody may have typed a lone per cent sign.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...parts] = path.split("/").map(decoded);
  return { page: page || "cluster", parts, query: new URLSearchParams(query || "") };
}

export function address(page, parts = [], query = {}) {
  const path = [page, ...parts].map(encodeURIComponent).join("/");
  const values = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return `#/${path}${values.size ? `?${values}` : ""}`;
}

// ---- figures as text

export const NOTHING = "–";

export function rate(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.05) return NOTHING;
  if (value < 9.95) return value.toFixed(1);
  return Math.round(value).toLocaleString("en");
}

export function count(value) {
  return value === null || value === undefined ? "" : Math.round(value).toLocaleString("en");
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 999.5 || unit === "TB") return `${unit === "B" || value >= 99.5 ? Math.round(value) : value.toPrecision(2)} ${unit}`;
    value /= 1000;
  }
  return "";
}

export function seconds(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 0.000_9995) return `${Math.round(value * 1e6)} µs`;
  if (value < 0.9995) return `${(value * 1e3).toPrecision(value < 0.01 ? 2 : 3).replace(/\.0+$/, "")} ms`;
  if (value < 90) return `${value.toFixed(1)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

export const percent = (share) => (share === null || share === undefined ? "" : `${Math.round(share * 100)} %`);

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export const HASHES = 2 ** 64;

export function hashes([low, high]) {
  const digits = (value) => Math.min(65535, Math.floor((value / HASHES) * 65536)).toString(16).padStart(4, "0");
  if (low === 0 && high > HASHES * 0.99999) return "all hashes";
  return `${digits(low)}–${digits(high)}`;
}

// ---- colours, by name of a zone or process

export function zoneNumber(zones, zone) {
  const found = zones.indexOf(zone);
  return found < 0 ? 7 : found % 6;
}

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// ---- small parts

export const Notice = ({ kind = "info", children }) =>
  html`<p class=${`notice ${kind}`} role=${kind === "error" ? "alert" : "status"}>${children}</p>`;

export const Failure = ({ error }) =>
  error && html`<${Notice} kind="error">${error.type && html`<strong>${error.type}</strong>${" "}`}${error.message}<//>`;

export const Badge = ({ kind = "", children }) => html`<span class=${`badge ${kind}`}>${children}</span>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

const GOOD = new Set(["ACTIVE", "ENABLED", "Enabled", "ready", "up", "available"]);
const BAD = new Set(["down", "unreachable", "failed", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"]);

export const State = ({ children }) => {
  const text = String(children);
  return html`<span class=${`state ${GOOD.has(text) ? "good" : BAD.has(text) ? "bad" : "between"}`}>${text}</span>`;
};

export function Panel({ title, aside, children, id }) {
  return html`<section class="panel" id=${id}>
    ${title && html`<header><h2>${title}</h2><div class="aside">${aside}</div></header>`}
    ${children}
  </section>`;
}

// A modal dialog: Escape closes it, the focus stays inside.
export function Dialog({ title, close, wide, children }) {
  const element = useRef();
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} onClose=${close} aria-label=${title}>
    <header><h2>${title}</h2>
      <button type="button" class="plain" aria-label="Close" onClick=${() => element.current.close()}>✕</button></header>
    ${children}
  </dialog>`;
}

// What a function gives, asked for anew when `keys` change, and `again_ms` after each answer while the page is seen.
export function useAsked(ask, keys, again_ms = 0) {
  const [state, setState] = useState({ data: null, error: null, busy: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    setState((old) => ({ ...old, busy: true }));
    const told = (data, error) => setState((old) => ({ data: error ? old.data : data, error, busy: false }));
    return repeated(ask, told, again_ms, () => !document.hidden);
  }, [...keys, turn]);
  return { ...state, again: () => setTurn((old) => old + 1) };
}
