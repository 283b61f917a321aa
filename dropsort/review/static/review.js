"use strict";
// The review page. Text of others (keys, labels, names) is only ever set as text, never as markup.
const $ = (id) => document.getElementById(id);
// Text of others, such as keys and labels: control characters and marks of direction would show another name than the one that is there.
const shown = (text) => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\uFFFD");
const make = (tag, className, text) => { const found = document.createElement(tag); if (className) found.className = className; if (text !== undefined) found.textContent = shown(text); return found; };
const GROUPS = { "low-confidence": "To review", failed: "Failed", classified: "Classified by the model", reviewed: "Reviewed" };
const LETTERS = "abcdefhijklmopqrtvwxy".split("");  // without those of actions: g, n, s, u, z
const QUEUE = "dropsort-review-unsent";
const FOLLOWS = 2000;  // milliseconds that a view stays as it is
const narrow = matchMedia("(max-width: 860px)");
const first = JSON.parse($("first").textContent);
const page = { bin: first.bin, order: first.order, seed: first.seed, view: 0, at: 0, anchor: 0,
  selected: new Set(), labels: [], state: null, queue: [], undo: [], made: new Set(), status: new Map(), others: new Map(), large: false, zoom: 1, touched: false,
  most: 2000 };  // images that one request decides about

async function request(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const response = await fetch(path, options);
  if (!response.ok) { const failed = new Error((await response.json().catch(() => ({}))).message || `The page's server returned ${response.status}.`); failed.status = response.status; throw failed; }
  return response.json();
}
function trouble(text) { $("trouble").textContent = shown(text); $("trouble").hidden = !text; }

// ---- The grid ---------------------------------------------------------------------------------------------------------
const grid = new Grid($("grid"), $("space"), async (offset, limit) => {
  try { return (await request(`api/items?view=${page.view}&offset=${offset}&limit=${limit}`)).items; }
  catch (error) { if (error.status === 410) open(); throw error; }
}, draw);

function words(item) {
  if (item.action === "label") return `✓ ${shown(item.label)}`;
  if (item.action === "none") return "✕ none of these";
  if (item.action === "unusable") return "⊘ unusable";
  return "";
}
const pathOf = ({ key }) => shown(key.replace("incoming/", ""));
const imagesIn = (bins) => bins.reduce((sum, one) => sum + one[3], 0);
// Why an image cannot be shown, as the server says.
async function reason(image, otherwise) { const response = await fetch(image.src).catch(() => null); return response && response.status === 422 ? response.text() : otherwise; }
const share = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);

function draw(cell, index, item) {
  cell.classList.toggle("here", index === page.at);
  if (item === undefined) { cell.replaceChildren(make("div", "box")); cell.setAttribute("aria-label", "Loading"); return; }
  const status = item && page.status.get(item.id), sign = item ? (status && status.sign) || words(item) || (page.others.has(item.id) ? `◌ ${page.others.get(item.id)}` : "") : "gone";
  cell.setAttribute("aria-selected", page.selected.has(index));
  cell.classList.toggle("decided", Boolean(item && (item.decision || (status && status.kind === "sent"))));
  cell.classList.toggle("conflict", Boolean(status && status.kind === "conflict"));
  let box = cell.firstElementChild;
  if (!box || box.dataset.id !== (item ? item.id : "")) {
    box = make("div", "box"); box.dataset.id = item ? item.id : "";
    const holder = make("div", "pic");
    if (item) {
      const image = make("img"); image.alt = ""; image.decoding = "async"; image.draggable = false;
      image.onload = () => image.classList.toggle("tiny", image.naturalWidth <= 96);
      image.onerror = async () => holder.replaceChildren(make("span", "", await reason(image, "Not shown.")));
      image.src = `thumbnail/${item.id}`; holder.append(image);
    }
    box.append(holder, make("div", "name"), make("div", "note"), make("div", "sign")); cell.replaceChildren(box);
  }
  const [, name, note, mark] = box.children;
  name.textContent = item ? shown(item.label || "") || (item.reason || "").replaceAll("_", " ") || "–" : "gone";
  note.textContent = item ? `${item.size > 1 ? `${item.size} similar · ` : ""}${share(item.confidence)} · ${shown(item.key.split("/").pop())}` : "";
  name.title = name.textContent; note.title = item ? pathOf(item) : "";  // both may be cut
  mark.textContent = sign; mark.hidden = !sign;
  cell.setAttribute("aria-label", item ? `${pathOf(item)}: ${name.textContent}, ${share(item.confidence)}${sign ? `, ${sign}` : ""}` : "gone");
}

// `follow`: for a view that grows. What somebody has begun to work in meanwhile stays, or a key would decide another image.
const view = (more) => request(`api/view?${new URLSearchParams({ ...page.bin, order: page.order, seed: page.seed, ...more })}`);
async function open(follow = false) {
  const found = await view();
  if (!follow || !page.touched) show(found);
}
// `at`: the image in focus, for somebody who works in the view.
function show(found, at = null) {
  page.opened = performance.now(); page.view = found.view; page.incomplete = found.comparing > 0; page.selected.clear(); page.at = 0; page.anchor = 0; page.touched = at !== null;
  grid.reset(found.length, found.items); empty(); focus(at || 0, { quiet: at === null });
}
function empty() {
  const none = grid.length === 0;
  $("empty").hidden = !none;
  $("empty").textContent = !page.state || page.state.loading ? "Reading results …" : "No images here. Choose another group, or refresh.";
}

function focus(index, { quiet = false, keep = false } = {}) {
  if (!grid.length) { page.at = 0; facts(); return; }
  page.at = Math.max(0, Math.min(grid.length - 1, index));
  if (!keep) { page.anchor = page.at; if (page.selected.size) page.selected.clear(); }
  grid.reveal(page.at); grid.redraw(); $("grid").setAttribute("aria-activedescendant", `cell-${page.at}`);
  if (!quiet) page.touched = true;
  summary(); if (!grid.item(page.at)) grid.fetchItem(page.at).then(summary, () => {});
  claim(); if (page.large) facts();
}
function summary() {
  const count = page.selected.size, item = grid.item(page.at);
  const more = comparison ? ` – comparing images${comparison.left ? `: ${comparison.left.toLocaleString("en")} left` : ""} …` : count && item && item.size === 1 && page.order === "similar" ? " – no other image of this group is much like it" : "";
  const all = count === page.most && page.order === "similar" && item && item.size > count ? ` of ${item.size.toLocaleString("en")} similar` : "";
  $("selected").textContent = !grid.length ? "" : count > 1 ? `${count.toLocaleString("en")}${all} images are selected: a decision is about all of them.` : describe(item) + more;
}
const describe = (item) => (item ? `${page.at + 1} of ${grid.length}: ${pathOf(item)}${item.action ? ` – ${words(item)} (${item.by})` : ""}` : `${page.at + 1} of ${grid.length}`);

let claimed = -1;
async function claim() {
  const from = Math.floor(page.at / 20) * 20;
  if (claimed === `${page.view}/${from}`) return;
  claimed = `${page.view}/${from}`;
  try {
    await grid.fetchItem(from);
    const images = [];
    for (let index = from; index < Math.min(from + 40, grid.length); index++) { const item = grid.item(index); if (item && !item.decision) images.push(item.id); }
    if (!images.length || !page.touched) { claimed = page.touched ? claimed : -1; return; }
    const { others } = await request("api/claim", { images });
    for (const id of images) page.others.delete(id);
    for (const [id, reviewer] of Object.entries(others)) page.others.set(id, reviewer);
    grid.redraw();
  } catch (error) { claimed = -1; }
}

// ---- Decisions --------------------------------------------------------------------------------------------------------
const unique = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
async function chosen() {
  const indices = page.selected.size ? [...page.selected].sort((a, b) => a - b) : [page.at];
  const found = [];
  for (const index of indices) { const item = await grid.fetchItem(index); if (item) found.push({ index, item }); }
  return found;
}
async function decide(action, label = null) {
  if (!grid.length) return;
  page.touched = true;
  const at = page.at, images = (await chosen()).filter(({ item }) => !(page.status.get(item.id) || {}).busy);
  if (!images.length) return;
  const batch = images.map(({ item }) => ({ id: unique(), image: item.id, key: item.key, action, label, seen: item.decision }));
  page.undo.push(batch.map(({ id, image, key }) => ({ id, image, key })));
  send(batch, { action, label });
  next(Math.max(at, images[images.length - 1].index));
}
function send(batch, shown) {
  for (const one of batch) page.status.set(one.image, { busy: true, kind: "sent", sign: `… ${words(shown)}` });
  page.queue.push(...batch); save(); grid.redraw(); flush();
}
const save = () => { try { sessionStorage.setItem(QUEUE, JSON.stringify(page.queue)); } catch (error) { /* full or not allowed: the page still sends */ } };

let flushing = false, wait = 500;
async function flush() {
  if (flushing || !page.queue.length) return;
  flushing = true;
  try {
    while (page.queue.length) {
      const sent = page.queue.slice(0, 500);
      const { decisions } = await request("api/decide", { decisions: sent });
      const again = [];
      decisions.forEach((made, index) => settle(sent[index], made, again));
      page.queue.splice(0, sent.length, ...again); save(); progress();
      if (again.length) throw new Error(decisions.find((made) => made.status === "retry").message);
      wait = 500; if (page.lost) { page.lost = false; trouble(""); }
    }
  } catch (error) {
    if (error.status === 400) { trouble(error.message); for (const one of page.queue) page.status.delete(one.image); page.queue = []; save(); grid.redraw(); }
    else { page.lost = true; trouble(`${page.queue.length} decisions are not stored yet (${error.message}). They are sent again.`); setTimeout(flush, wait); wait = Math.min(2 * wait, 10000); }
  } finally { flushing = false; progress(); }
}
function settle(sent, made, again) {
  if (made.status === "retry") { again.push(sent); return; }
  page.status.delete(sent.image);
  if (made.status === "conflict" || made.status === "error") {
    page.status.set(sent.image, { kind: "conflict", sign: `! ${made.message}` }); trouble(`${pathOf(sent)}: ${made.message}`);
  } else if (sent.action === "undo") page.made.delete(sent.image); else page.made.add(sent.image);
  if (made.item) grid.update({ old: sent.image, now: made.item });
  grid.redraw(); summary(); if (page.large && grid.item(page.at) && grid.item(page.at).id === sent.image) facts();
}
async function next(from) {
  for (let index = from + 1; index < Math.min(grid.length, from + 1000); index++) {
    const item = grid.item(index);
    if (!item || !(item.decision || (page.status.get(item.id) || {}).busy)) { focus(index); return; }
  }
  focus(Math.min(from + 1, grid.length - 1));
}
// Selects the images that are much like the one in focus, which stays in focus. Until all are compared, the view stays as it is and a
// decision is about the image in focus alone; who moves on, decides or presses Escape meanwhile selects nothing.
let comparison = null;
async function group() {
  const item = await grid.fetchItem(page.at); if (!item || (comparison && comparison.id === item.id)) return;
  const mine = { id: item.id, left: 0 }, begun = page.view;
  const now = () => grid.item(page.at), current = () => comparison === mine && page.view === begun && !page.selected.size && now() && now().id === item.id && now().decision === item.decision && !(page.status.get(item.id) || {}).busy;
  page.selected.clear(); grid.redraw(); page.touched = true;
  if (page.order === "similar" && !page.incomplete) { together(item); return; }
  comparison = mine; summary();
  try {
    let found = await view({ order: "similar", image: item.id });
    while (current() && found.comparing) {
      mine.left = found.comparing; summary();
      await new Promise((done) => setTimeout(done, 300));
      mine.left = (await request("api/state")).comparing;
      if (!mine.left) found = await view({ order: "similar", image: item.id });
    }
    if (!current() || found.at === null) return;
    page.order = $("order").value = "similar"; show(found, found.at);
    const again = await grid.fetchItem(found.at);
    if (again && again.id === item.id && page.view === found.view && page.at === found.at && !page.selected.size) { comparison = null; together(again); }
  } catch (error) { trouble(error.message); }
  finally { if (comparison === mine) comparison = null; summary(); }
}
function together(item) {
  // Of a larger group, what fits into one request: from its first image, or from the one in focus if that is further back.
  const begin = page.at - item.begin < page.most ? item.begin : page.at, end = Math.min(item.begin + item.size, begin + page.most);
  for (let index = begin; index < end; index++) page.selected.add(index);
  page.anchor = begin; focus(page.at, { keep: true });
}
const undone = (decisions) => send(decisions.map(({ id, image, key }) => ({ id: unique(), image, key, action: "undo", label: null, seen: id })), {});
async function undo() {
  const last = page.undo.pop();
  if (last) {
    if (page.queue.some((one) => last.some(({ id }) => id === one.id))) { page.undo.push(last); return; }  // not stored yet
    undone(last);
    for (const [index] of grid.cells) { const item = grid.item(index); if (item && item.id === last[0].image) { focus(index); break; } }
    return;
  }
  const batch = (await chosen()).filter(({ item }) => item.decision);
  if (batch.length) undone(batch.map(({ item }) => ({ id: item.decision, image: item.id, key: item.key })));
}

// ---- Bins, labels, progress ---------------------------------------------------------------------------------------------
function bins(found) {
  const nodes = [];
  for (const [group, title] of Object.entries(GROUPS)) {
    const inner = found.filter((one) => one[0] === group), total = imagesIn(inner);
    nodes.push(bin(title, total, { group, kind: "", value: "" }, ""));
    for (const [, kind, value, count] of inner) if (inner.length > 1 || kind === "label") nodes.push(bin(kind === "reason" ? value.replaceAll("_", " ") : value, count, { group, kind, value }, "sub"));
  }
  const focused = document.activeElement && document.activeElement.dataset.bin;
  $("bins").replaceChildren(...nodes);
  if (focused) [...$("bins").children].find((one) => one.dataset.bin === focused)?.focus();
}
function bin(title, count, which, className) {
  const button = make("button", className); button.type = "button"; button.dataset.bin = JSON.stringify(which);
  button.append(make("span", "", title || "–"), make("span", "soft", count.toLocaleString("en")));
  button.setAttribute("aria-current", button.dataset.bin === JSON.stringify(page.bin));
  button.onclick = () => { page.bin = which; bins(page.state.bins); if (narrow.matches) $("bins-fold").open = false; open(); $("grid").focus(); };
  return button;
}
function labels(found) {
  // A label keeps its key, and its button the focus, for as long as the page is open.
  $("labels").append(...found.filter((one) => !page.labels.includes(one)).sort().map((label) => {
    const button = make("button"); button.type = "button"; const key = shortcut(page.labels.push(label) - 1);
    if (key) button.append(make("kbd", "", key)); button.append(label); button.onclick = () => { decide("label", label); $("grid").focus(); };
    return button;
  }));
}
const shortcut = (index) => (index < 9 ? String(index + 1) : LETTERS[index - 9] || "");
function progress() {
  const state = page.state; if (!state) return;
  const left = imagesIn(state.bins.filter((one) => one[0] === "low-confidence"));
  const parts = [`${left.toLocaleString("en")} to review`, `${page.made.size.toLocaleString("en")} decided`];
  if (state.per_minute && page.made.size) { parts.push(`${Math.round(state.per_minute)} a minute`); if (left) parts.push(`${Math.ceil(left / state.per_minute).toLocaleString("en")} min left`); }
  if (page.queue.length) parts.push(`${page.queue.length} being sent`);
  if (state.loading) parts.push(`reading results: ${imagesIn(state.bins).toLocaleString("en")}`);
  if (state.comparing && page.order === "similar") parts.push(`comparing images: ${state.comparing.toLocaleString("en")} left`);
  if (state.unreadable) parts.push(`${state.unreadable} unreadable`);
  $("progress").textContent = parts.join(" · ");
}
let polling = 0;
async function poll() {
  clearTimeout(polling);
  let pause = 5000, took = 0;
  try {
    const before = page.state; page.state = await request("api/state");
    bins(page.state.bins); labels(page.state.labels); progress();
    if (page.state.trouble) trouble(page.state.trouble); else if (before && before.trouble) trouble("");
    // While results are read, the view follows until somebody works in it; the images of a view are shown before the next one.
    const total = imagesIn(page.state.bins.filter((one) => one[0] === page.bin.group && (!page.bin.kind || one[2] === page.bin.value)));
    const due = !grid.length || performance.now() - page.opened >= FOLLOWS;
    if (due && !page.touched && (total !== grid.length || page.incomplete) && $("grid").scrollTop === 0) { took = performance.now(); await open(true); took = performance.now() - took; }
    empty(); if (page.state.loading || page.incomplete) pause = grid.length ? Math.max(FOLLOWS, 10 * took) : 250;  // comparing many images takes long
  } catch (error) { trouble(`The page's server does not respond (${error.message}). Decisions are sent when it does.`); pause = 3000; }
  clearTimeout(polling); polling = setTimeout(poll, pause);
}

// ---- The large view -----------------------------------------------------------------------------------------------------
async function facts() {
  const item = grid.length ? await grid.fetchItem(page.at) : null;
  $("large").hidden = !page.large; if (!page.large || !item) return;
  if ($("big").dataset.id !== item.id) { $("big").dataset.id = item.id; zoom(1); $("big").hidden = false; $("why-not").hidden = true; $("big").alt = pathOf(item); $("big").src = `large/${item.id}`; }
  const table = (rows) => { const found = make("table"); for (const [name, value] of rows) { const row = make("tr"); row.append(make("th", "", name), value instanceof Node ? value : make("td", "", value)); found.append(row); } return found; };
  const nodes = [make("h2", "", pathOf(item))];
  try {
    const found = await request(`api/details/${item.id}`), result = found.result || {};
    if ($("big").dataset.id !== item.id) return;
    if (found.why) nodes.push(make("p", "", found.why));
    const chances = Object.entries(result.probabilities || {}).sort((a, b) => b[1] - a[1]).slice(0, 20).map(([label, value]) => {
      const cell = make("td"), bar = make("meter"); bar.max = 1; bar.value = value; bar.setAttribute("aria-hidden", "true"); cell.append(bar, share(value)); return [label, cell];
    });
    if (chances.length) nodes.push(table(chances));
    nodes.push(table([["threshold", share(result.threshold)], ["familiarity", share(result.familiarity)], ["model", (result.model || {}).version || "–"],
      ["image", result.image ? `${result.image.format}, ${result.image.width} × ${result.image.height}` : "–"], ["uploaded", (result.times || {}).uploaded || "–"], ["recorded", (result.times || {}).recorded || "–"]]));
    if (found.decisions.length) nodes.push(make("h2", "", "Decisions"), table(found.decisions.map((one) => [one.by, `${one.action}${one.label ? `: ${one.label}` : ""}, ${one.at}`])));
  } catch (error) { nodes.push(make("p", "", error.message)); }
  $("facts").replaceChildren(...nodes);
}
function zoom(value) { page.zoom = Math.max(1, Math.min(8, value)); $("big").style.width = $("big").style.height = `${100 * page.zoom}%`; }
function large(show) { page.large = show; $("large").hidden = !show; if (show) facts(); else $("grid").focus(); requestAnimationFrame(() => { grid.layout(); grid.reveal(page.at); }); }
$("big").onload = () => $("big").classList.toggle("tiny", $("big").naturalWidth <= 128);
$("big").onerror = async () => { const text = await reason($("big"), "It cannot be shown."); $("big").hidden = true; $("why-not").hidden = false; $("why-not").textContent = text; };

// ---- Mouse, touch and keyboard --------------------------------------------------------------------------------------------
function selectTo(index) {
  page.selected.clear(); for (let i = Math.min(page.anchor, index); i <= Math.max(page.anchor, index); i++) page.selected.add(i);
  focus(index, { keep: true });
}
function pick(index, event) {
  $("grid").focus({ preventScroll: true });
  if (event.shiftKey) selectTo(index);
  else if (event.ctrlKey || event.metaKey) { if (!page.selected.size) page.selected.add(page.at); if (!page.selected.delete(index)) page.selected.add(index); page.anchor = index; focus(index, { keep: true }); }
  else focus(index);
}
$("grid").addEventListener("click", (event) => { const cell = event.target.closest(".cell"); if (cell) { const again = Number(cell.dataset.index) === page.at && matchMedia("(pointer: coarse)").matches; pick(Number(cell.dataset.index), event); if (again) large(true); } });
$("grid").addEventListener("dblclick", (event) => { if (event.target.closest(".cell")) large(true); });
function extend(step, event) {
  const to = Math.max(0, Math.min(grid.length - 1, page.at + step));
  if (event.shiftKey) selectTo(to); else focus(to);
}
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.altKey) return;
  const rows = Math.max(1, Math.floor($("grid").clientHeight / grid.height)), key = event.key;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.columns, ArrowUp: -grid.columns, PageDown: rows * grid.columns, PageUp: -rows * grid.columns, Home: -grid.length, End: grid.length };
  if (key in moves && !(event.target.id === "frame" && page.zoom > 1)) { event.preventDefault(); extend(moves[key], event); return; }
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") { event.preventDefault(); for (let i = 0; i < Math.min(grid.length, page.most); i++) page.selected.add(i); grid.redraw(); summary(); return; }
  if (event.ctrlKey || event.metaKey || event.target.matches("button, summary") && (key === "Enter" || key === " ")) return;
  const actions = { g: group, n: () => decide("none"), u: () => decide("unusable"), s: () => next(page.at), z: undo, Enter: () => large(!page.large), " ": () => large(!page.large), "+": () => zoom(2 * page.zoom), "-": () => zoom(page.zoom / 2),
    Escape: () => { if (page.large) large(false); else { comparison = null; page.selected.clear(); grid.redraw(); summary(); } } };
  const index = page.labels.findIndex((_, at) => shortcut(at) === key);
  const action = actions[key] || (index >= 0 ? () => decide("label", page.labels[index]) : null);
  if (action && !event.repeat) { event.preventDefault(); action(); }
});
$("group").onclick = () => { group(); $("grid").focus(); };
$("none").onclick = () => decide("none"); $("unusable").onclick = () => decide("unusable"); $("skip").onclick = () => next(page.at); $("undo").onclick = undo;
$("view").onclick = () => large(!page.large); $("close").onclick = () => large(false); $("bigger").onclick = () => zoom(2 * page.zoom); $("smaller").onclick = () => zoom(page.zoom / 2);
$("frame").addEventListener("wheel", (event) => { if (event.ctrlKey || page.zoom > 1 || event.deltaY < 0) { event.preventDefault(); zoom(page.zoom * (event.deltaY < 0 ? 1.25 : 0.8)); } }, { passive: false });
function add() {
  const label = $("new").value.trim(); if (!label) return;
  $("new").value = ""; labels([label]); decide("label", label); $("grid").focus();
}
$("add").onclick = add; $("new").addEventListener("keydown", (event) => { if (event.key === "Enter") add(); if (event.key === "Escape") $("grid").focus(); });
$("order").value = page.order; $("order").onchange = () => { page.order = $("order").value; page.seed = Math.floor(Math.random() * 1e9); open().then(poll, () => {}); $("grid").focus(); };
$("refresh").onclick = () => { open(); $("grid").focus(); };
addEventListener("beforeunload", (event) => { if (page.queue.length) event.preventDefault(); });
// What was decided but not stored before the page was loaded again is sent now; the server knows each decision by its id.
try { page.queue = JSON.parse(sessionStorage.getItem(QUEUE)) || []; } catch (error) { page.queue = []; }
const fold = () => { $("bins-fold").open = !narrow.matches; };
fold(); narrow.addEventListener("change", fold);  // a tablet that is turned
function begin() { $("grid").focus(); flush(); poll(); }
if (first.length) { show(first); begin(); } else open().then(begin, (error) => { trouble(error.message); poll(); });
