// The frame of the console: signing in, navigation, what is true of every page, and the clock that asks for figures.

import {
  ApiError, Badge, Failure, Notice, address, api, html, onSignedOut, place, publish, rate, render, seconds, store, useEffect,
  useState, useStore,
} from "./lib.js";
import { ClusterPage } from "./cluster.js";
import { TablesPage } from "./tables.js";
import { ExplorePage } from "./explore.js";
import { ChartsPage } from "./charts.js";
import { HeatPage } from "./heat.js";
import { StreamsPage } from "./streams.js";

const PAGES = [
  ["cluster", "Cluster", ClusterPage],
  ["tables", "Tables", TablesPage],
  ["items", "Items", ExplorePage],
  ["charts", "Charts", ChartsPage],
  ["heat", "Key heat", HeatPage],
  ["streams", "Streams and caches", StreamsPage],
];
const INTERVAL_MS = 1000;
const POINTS_MAX = 600;

// ---- figures, once a second while somebody can see them

let asking = false;

async function look() {
  if (asking || document.hidden || !allowed()) return;
  asking = true;
  try {
    const after = store.points.length ? store.points[store.points.length - 1].number : 0;
    const live = await api(`/api/live?after=${after}`);
    // A server that was started anew counts from one again.
    const points = live.newest < after ? [] : [...store.points, ...live.points].slice(-POINTS_MAX);
    publish({ before: store.live, live, points, error: "" });
  } catch (error) {
    publish({ error: error instanceof ApiError ? error.message : String(error) });
  } finally {
    asking = false;
  }
}

const allowed = () => store.session && (store.session.signed_in || !store.session.login_required);

let beginning = false;

async function begin() {
  if (beginning) return;
  beginning = true;
  try {
    publish({ session: await api("/api/session"), error: "" });
  } catch (error) {
    publish({ error: error.message });
  } finally {
    beginning = false;
  }
  look();
}

onSignedOut(() => {
  if (store.session?.signed_in) publish({ session: { ...store.session, signed_in: null }, live: null, points: [] });
});

// ---- light and dark

const THEMES = ["auto", "light", "dark"];

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem("theme") || "auto");
  useEffect(() => {
    localStorage.setItem("theme", theme);
    const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    publish({ theme });
  }, [theme]);
  return [theme, () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length])];
}

// ---- parts

function SignIn() {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    try {
      await api("/api/login", { access_key: form.get("access_key"), secret: form.get("secret") });
      await begin();
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return html`<main class="sign-in">
    <form class="panel" onSubmit=${submit}>
      <h1><${Mark} /> hashrange</h1>
      <p class="muted">Sign in with an access key of this server.</p>
      <label>Access key <input name="access_key" required autocomplete="username" autofocus spellcheck="false" /></label>
      <label>Secret <input name="secret" type="password" required autocomplete="current-password" /></label>
      <${Failure} error=${error} />
      <button class="primary" disabled=${busy}>Sign in</button>
    </form>
  </main>`;
}

const Mark = () => html`<svg class="mark" viewBox="0 0 18 18" aria-hidden="true">
  <rect x="1" y="1" width="16" height="3" rx="1.5" /><rect x="1" y="5.4" width="16" height="3" rx="1.5" />
  <rect class="hot" x="1" y="9.8" width="16" height="3" rx="1.5" /><rect x="1" y="14.2" width="16" height="3" rx="1.5" />
</svg>`;

function Sidebar({ page, theme, nextTheme }) {
  const { session } = store;
  const leave = async () => {
    await api("/api/logout", {});
    publish({ session: { ...session, signed_in: null }, live: null, points: [] });
  };
  return html`<nav class="sidebar" aria-label="Pages">
    <a class="brand" href="#/cluster"><${Mark} /> hashrange</a>
    <ul>
      ${PAGES.map(([name, title]) => html`<li key=${name}>
        <a href=${address(name)} aria-current=${name === page ? "page" : null}>${title}</a></li>`)}
    </ul>
    <div class="foot">
      <dl>
        <dt>Region</dt><dd>${session.region}</dd>
        <dt>Endpoint</dt><dd title=${session.endpoint}>${session.endpoint.replace("http://", "")}</dd>
        <dt>Version</dt><dd>${session.version}</dd>
        ${session.signed_in && html`<dt>Signed in</dt><dd title=${session.signed_in}>${session.signed_in}</dd>`}
      </dl>
      <${Badge} kind=${session.edit ? "warm" : ""}>${session.edit ? "edit mode" : "read-only"}<//>
      <div class="buttons">
        <button type="button" class="plain" onClick=${nextTheme} title="Light, dark, or as the system">Theme: ${theme}</button>
        ${session.signed_in && html`<button type="button" class="plain" onClick=${leave}>Sign out</button>`}
      </div>
    </div>
  </nav>`;
}

function Strip({ live }) {
  const { totals } = live.view;
  const figures = [
    ["requests/s", rate(totals.requests)],
    ["reads/s", rate(totals.reads)],
    ["writes/s", rate(totals.writes)],
    ["p50", seconds(totals.p50_s)],
    ["p99", seconds(totals.p99_s)],
    ["throttled/s", rate(totals.throttled), totals.throttled >= 0.05 && "bad"],
    ["errors/s", rate(Math.max(0, totals.errors - totals.throttled)), totals.errors - totals.throttled >= 0.05 && "warm"],
  ];
  return html`<dl class="strip">
    ${figures.map(([name, value, kind]) => html`<div key=${name} class=${kind || ""}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function App() {
  const { session, live, error } = useStore();
  const [where, setWhere] = useState(place());
  const [theme, nextTheme] = useTheme();
  useEffect(() => {
    const moved = () => setWhere(place());
    const seen = () => document.hidden || look();
    addEventListener("hashchange", moved);
    document.addEventListener("visibilitychange", seen);
    // A server that did not answer the first question is asked again.
    const timer = setInterval(() => (store.session ? look() : begin()), INTERVAL_MS);
    begin();
    return () => {
      removeEventListener("hashchange", moved);
      document.removeEventListener("visibilitychange", seen);
      clearInterval(timer);
    };
  }, []);
  const found = PAGES.find(([name]) => name === where.page) || PAGES[0];
  useEffect(() => {
    document.title = `${found[1]} · hashrange`;
  }, [found]);
  if (!session) return html`<main class="sign-in">${error ? html`<${Notice} kind="error">${error}<//>` : ""}</main>`;
  if (!allowed()) return html`<${SignIn} />`;
  const Page = found[2];
  return html`
    <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); document.getElementById("content").focus(); }}>Skip to content</a>
    <div class="frame">
      <${Sidebar} page=${found[0]} theme=${theme} nextTheme=${nextTheme} />
      <main id="content" tabindex="-1">
        ${live && html`<${Strip} live=${live} />`}
        ${error && html`<${Notice} kind="error">${error}; trying again<//>`}
        ${live?.view.note && html`<${Notice} kind="warm">${live.view.note}<//>`}
        ${live ? html`<${Page} where=${where} theme=${theme} />` : html`<p class="empty">Looking …</p>`}
      </main>
    </div>`;
}

render(html`<${App} />`, document.getElementById("app"));
