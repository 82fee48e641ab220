"""The style and the script of a report, put into its head: both themes, no fonts, no libraries."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1a1f29; --quiet: #667085; --rule: #e4e7ec; --bad: #c2410c;
  --s0: #2563c9; --s1: #d9622b; --s2: #12856a; --s3: #8a3fb5; --s4: #a67c00; --s5: #c22f6a; --s6: #4b5563;
  --s7: #0e7c9e; --p0: #9cc0f2; --p1: #6b9fe8; --p2: #3f7ad6; --p3: #2456a8; --p4: #133569; --heat-ink: #c2410c; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f1319; --card: #181d26; --ink: #e6e9ef; --quiet: #98a2b3; --rule: #2b3240; --bad: #fb923c;
  --s0: #6aa5f8; --s1: #f2935f; --s2: #3fc59d; --s3: #c08ae6; --s4: #dcb13a; --s5: #f07aa8; --s6: #9aa4b2;
  --s7: #4cc3e6; --p0: #27456f; --p1: #35639f; --p2: #4d86cc; --p3: #7fb0ec; --p4: #c2dcfb; --heat-ink: #fb923c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1560px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 40px 0 12px; padding-top: 16px; border-top: 1px solid var(--rule); }
h3 { font-size: 14px; margin: 0 0 8px; font-weight: 600; }
p { margin: 4px 0 12px; color: var(--quiet); } p.bad { color: var(--bad); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 18px 0; }
.tile, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 23px; font-weight: 650; letter-spacing: -.02em; font-variant-numeric:
tabular-nums; } .tile span { color: var(--quiet); font-size: 13px; } .tile.bad b { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(560px, 100%), 1fr)); gap: 16px; }
.card { min-width: 0; overflow-x: auto; } .card p { font-size: 13px; margin: -4px 0 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 500; }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
.grid { stroke: var(--rule); stroke-width: 1; } .tick { fill: var(--quiet); font-size: 11px; }
.label { fill: var(--ink); font-size: 12px; } .value { fill: var(--ink); font-size: 12px; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.cell { fill: color-mix(in srgb, var(--heat-ink) calc(var(--heat) * 100%), var(--rule)); }
.cross { stroke: var(--quiet); stroke-width: 1; visibility: hidden; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 12.5px; color: var(--quiet); margin: 0 0 6px; }
.legend i, .tip i { display: inline-block; width: 12px; height: 3px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; background: currentColor; }
.tip { position: fixed; pointer-events: none; background: var(--card); color: var(--ink); border: 1px solid var(--rule);
  border-radius: 8px; padding: 7px 10px; font-size: 12.5px; box-shadow: 0 4px 16px #0003; visibility: hidden;
  z-index: 9; }
.tip div { display: flex; justify-content: space-between; gap: 18px; } .tip strong { font-weight: 600; }
a { color: inherit; } .wide { grid-column: 1 / -1; } .none { font-style: italic; }
"""


def css() -> str:
    """The whole style sheet, with a rule for each colour of a line, a bar and a legend."""
    names = [f"s{place}" for place in range(8)] + [f"p{place}" for place in range(5)]
    rules = "".join(
        f"path.{name}{{stroke:var(--{name})}}rect.{name},circle.{name}{{fill:var(--{name})}}i.{name}{{color:var(--{name})}}"
        for name in names
    )
    return CSS + rules


SCRIPT: Final = """
const tip = document.createElement("div"); tip.className = "tip"; document.body.append(tip);
for (const svg of document.querySelectorAll("svg[data-chart]")) {
  const chart = JSON.parse(svg.dataset.chart), cross = svg.querySelector(".cross");
  const hide = () => { tip.style.visibility = cross.style.visibility = "hidden"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    let at = 0;
    chart.x.forEach((place, number) => { if (Math.abs(place - x) < Math.abs(chart.x[at] - x)) at = number; });
    cross.setAttribute("x1", chart.x[at]); cross.setAttribute("x2", chart.x[at]);
    const head = document.createElement("strong"); head.textContent = chart.labels[at];
    tip.replaceChildren(head);
    for (const [name, style, values] of chart.lines) {
      if (values[at] === null) continue;
      const row = document.createElement("div"), key = document.createElement("span"), value =
      document.createElement("span"); const mark = document.createElement("i"); mark.className = style;
      key.append(mark, name); value.textContent = values[at] + " " + chart.unit;
      row.append(key, value); tip.append(row);
    }
    tip.style.visibility = cross.style.visibility = "visible";
    const width = tip.offsetWidth;
    tip.style.left = Math.min(event.clientX + 16, innerWidth - width - 8) + "px";
    tip.style.top = event.clientY + 16 + "px";
  });
}
"""
