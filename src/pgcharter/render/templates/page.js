"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const SLICE = 100, OPEN = 12;
  const RANK = { error: 0, warning: 1, info: 2 };
  const all = data.findings;
  for (const f of all) {
    f.k = f.k || [];
    f.z = f.z || "counts";
    const about = [f.c, data.rules[f.c].slug, f.m, f.o, f.f && f.l ? f.f + ":" + f.l : f.f, f.h, f.r, f.k.join(" ")];
    f.hay = about.filter(Boolean).join("\n").toLowerCase();
  }

  const make = (tag, style, text) => {
    const node = document.createElement(tag);
    if (style) node.className = style;
    if (text !== undefined && text !== "") node.textContent = text;
    return node;
  };
  const plural = (n, word) => n.toLocaleString("en") + " " + word + (n === 1 ? "" : "s");

  /* groups */
  const clauseOf = (f) => f.k[0] || "";
  const KEYS = {
    clause: (f) => clauseOf(f),
    rule: (f) => f.c,
    object: (f) => f.o || f.f || data.targets[f.t || 0],
    file: (f) => f.f || data.targets[f.t || 0],
  };
  const heading = (by, key) => {
    const h = make("h3");
    if (by === "clause") {
      h.append(make("span", "code id", key || "no clause"));
      const known = data.clauses[key];
      if (known) h.append(make("span", "rest", known[1]));
    } else if (by === "rule") {
      h.append(make("span", "code id", key), make("span", "", data.rules[key].slug), make("span", "rest", data.rules[key].title));
    } else h.append(make("span", "code", key));
    return h;
  };

  /* one finding */
  const coded = (text) => {
    const p = make("p");
    text.split("`").forEach((piece, i, all) => p.append(i % 2 && i < all.length - 1 ? make("code", "", piece) : (i % 2 ? "`" : "") + piece));
    return p;
  };
  const prose = (box, title, text) => {
    if (!text) return;
    box.append(make("h4", "", title));
    for (const part of text.split("\n\n")) {
      const sql = part.split("\n").every((l) => !l.trim() || l.startsWith("    "));
      box.append(sql ? make("pre", "", part.replace(/^ {4}/gm, "")) : coded(part.replace(/\s*\n\s*/g, " ")));
    }
  };
  const copy = (text, button) => {
    const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
    const old = () => {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
      done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, old);
    else old();
  };
  const body = (f) => {
    const box = make("div", "body"), rule = data.rules[f.c];
    if (f.r) { box.append(make("h4", "", data.states[f.z] || "not counted"), make("p", "", f.r)); }
    if (f.x) {
      const [line, before, meant, after] = f.x, pre = make("pre");
      pre.append(make("span", "dim", String(line) + " │ "), before, make("mark", "", meant), after);
      pre.tabIndex = 0;
      box.append(make("h4", "", f.f || "source"), pre);
    }
    if (f.q) {
      const text = f.q.join("\n"), head = make("h4", "fix", "fix"), button = make("button", "", "copy"), pre = make("pre", "", text);
      button.type = "button";
      button.setAttribute("aria-label", "copy the SQL of this fix");
      button.addEventListener("click", () => copy(text, button));
      pre.tabIndex = 0;
      head.append(button);
      box.append(head, pre);
    }
    prose(box, "hint", f.h);
    prose(box, "why", rule.why);
    if (!f.q) prose(box, "instead", rule.instead);
    prose(box, "except", rule.except);
    if (f.k.length) {
      const list = make("ul", "clauses");
      for (const id of f.k) list.append(make("li", "", id + (data.clauses[id] ? "  " + data.clauses[id][1] : "")));
      box.append(make("h4", "", "clauses"), list);
    }
    return box;
  };
  const item = (f, open) => {
    const node = make("details", "item " + f.s + (f.z === "counts" ? "" : " off"));
    const summary = make("summary"), line = make("div", "line");
    line.append(make("span", "code", f.c), make("span", "", data.rules[f.c].slug), make("span", "hidden", f.s));
    if (f.z !== "counts") line.append(make("span", "badge", f.z.replace("_", " ")));
    line.append(make("span", "where", f.f ? f.f + ":" + f.l : f.o || ""));
    summary.append(line, make("div", "message", f.m));
    node.append(summary);
    node.addEventListener("toggle", () => { if (node.open && node.childElementCount === 1) node.append(body(f)); });
    if (open) { node.append(body(f)); node.open = true; }
    return node;
  };

  /* what is shown */
  let shown = [], drawn = 0, last = null, unfold = false;
  const wanted = () => {
    const words = $("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set([...$("severities").querySelectorAll(":checked")].map((c) => c.value));
    const rule = $("rule").value, state = $("state").value;
    return all.filter((f) => severities.has(f.s) && (!rule || f.c === rule) && (!state || f.z === state) && words.every((w) => f.hay.includes(w)));
  };
  const by = () => document.querySelector("#group :checked").value;
  const draw = (upto) => {
    const how = by(), list = $("list");
    for (; drawn < Math.min(upto, shown.length); drawn++) {
      const [key, f, size] = shown[drawn];
      if (!last || last.key !== key) {
        const node = make("section", "group"), head = heading(how, key);
        head.append(make("span", "number", plural(size, "finding")));
        node.append(head);
        list.append(node);
        last = { key, node };
      }
      last.node.append(item(f, unfold || shown.length <= OPEN));
    }
    $("more").hidden = drawn >= shown.length;
    $("more").textContent = "show more (" + (shown.length - drawn).toLocaleString("en") + " left)";
  };
  const refresh = () => {
    const groups = new Map(), key = KEYS[by()], found = wanted();
    for (const f of found) {
      const k = key(f);
      if (groups.has(k)) groups.get(k).push(f);
      else groups.set(k, [f]);
    }
    const worst = (g) => g.reduce((w, f) => Math.min(w, RANK[f.s] + (f.z === "counts" ? 0 : 3)), 9);
    shown = [...groups].map(([k, g]) => [k, g, worst(g)]).sort((a, b) => a[2] - b[2] || b[1].length - a[1].length)
      .flatMap(([k, g]) => g.map((f) => [k, f, g.length]));
    $("list").replaceChildren();
    drawn = 0;
    last = null;
    $("count").textContent = found.length === all.length ? plural(all.length, "finding") : plural(found.length, "finding") + " of " + all.length.toLocaleString("en");
    draw(SLICE);
  };

  /* controls */
  const option = (value, text) => { const o = make("option", "", text); o.value = value; return o; };
  const count = (pick) => all.reduce((m, f) => m.set(pick(f), (m.get(pick(f)) || 0) + 1), new Map());
  for (const [code, n] of [...count((f) => f.c)].sort()) $("rule").append(option(code, code + " " + data.rules[code].slug + " (" + n + ")"));
  const states = count((f) => f.z);
  $("state").append(option("counts", "counts (" + (states.get("counts") || 0) + ")"));
  for (const [z, n] of states) if (z !== "counts") $("state").append(option(z, z.replace("_", " ") + " (" + n + ")"));
  $("state").append(option("", "all (" + all.length + ")"));
  if (!states.get("counts")) $("state").value = "";
  $("tools").addEventListener("input", refresh);
  $("tools").addEventListener("submit", (e) => e.preventDefault());
  $("more").addEventListener("click", () => draw(drawn + SLICE));
  $("unfold").addEventListener("click", () => {
    unfold = !unfold;
    $("unfold").setAttribute("aria-pressed", String(unfold));
    $("unfold").textContent = unfold ? "fold all" : "unfold all";
    refresh();
  });
  new IntersectionObserver((seen) => { if (seen[0].isIntersecting && drawn < shown.length) draw(drawn + SLICE); }, { rootMargin: "800px" }).observe($("more"));
  document.addEventListener("keydown", (e) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox" && document.activeElement.type !== "radio";
    if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey) { e.preventDefault(); $("q").focus(); }
    else if (e.key === "Escape" && document.activeElement === $("q")) { $("q").value = ""; refresh(); }
  });
  addEventListener("beforeprint", () => { unfold = true; refresh(); draw(shown.length); for (const d of document.querySelectorAll("details.panel")) d.open = true; });

  /* light and dark */
  const root = document.documentElement;
  try { const kept = localStorage.getItem("pgcharter-theme"); if (kept) root.dataset.theme = kept; } catch { /* not kept then */ }
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("pgcharter-theme", root.dataset.theme); } catch { /* not kept then */ }
  });
  refresh();
  if (!all.length) {
    $("tools").hidden = true;
    $("count").textContent = "Nothing to mend, nothing allowed.";
  }
})();
