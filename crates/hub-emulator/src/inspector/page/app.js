// The page: puts its parts together.

import { copy, tailCommand } from "./command.js";
import { Detail } from "./detail.js";
import { ask, byId, many, number, say, toast } from "./dom.js";
import { Faults } from "./faults.js";
import { Feed } from "./feed.js";
import { Filter } from "./filter.js";
import { List } from "./list.js";
import * as panels from "./panels.js";
import { Publish } from "./publish.js";
import { Tabs } from "./tabs.js";

/** How long it is said that events were left out. */
const REMEMBERED = 3000;

const tabs = new Tabs();
const publish = new Publish();
const faults = new Faults();
const detail = new Detail({
  closed: () => { list.select(null, false); byId("rows").focus(); },
  edit: (event) => { tabs.show("publish"); publish.edit(event); },
});
const list = new List((sequence) => detail.open(sequence));
const filter = new Filter((expression) => {
  byId("download").href = `/api/recording?${new URLSearchParams({ expression })}`;
  feed.follow(expression);
});
const feed = new Feed({ heard, rows, state, locked });

const totals = { skipped: 0, missed: 0, overrun: 0 };
let sampledAt = -Infinity;
let before = null;
let view = null;

/** News of one part. */
function heard(part, data) {
  if (part === "about") about(data);
  else if (part === "counts") counts(data);
  else if (part === "connections") panels.connections(data);
  else if (part === "queues") panels.queues(data);
  else if (part === "threads") panels.threads(data, (sequence) => open(sequence));
  else if (part === "faults") faults.heard(data);
}

function about({ ftrack, imodelhub, readOnly }) {
  say(byId("url-ftrack"), ftrack);
  say(byId("url-imodelhub"), imodelhub);
  faults.readOnly = readOnly;
  for (const place of document.querySelectorAll(".changes")) place.hidden = readOnly;
  for (const place of document.querySelectorAll(".only-read")) place.hidden = !readOnly;
}

function counts({ log, ftrack }) {
  const now = performance.now();
  const rate = before === null || log.seen < before.seen ? 0 : ((log.seen - before.seen) * 1000) / (now - before.at);
  before = { seen: log.seen, at: now };
  view = log;
  say(byId("figure-events"), number(log.seen));
  say(byId("figure-rate"), number(Math.round(rate)));
  say(byId("figure-subscriptions"), number(ftrack.subscriptions));
  foot();
}

/** Events, once a frame. */
function rows(events, lost, fresh) {
  if (fresh) {
    list.clear();
    for (const key of Object.keys(totals)) totals[key] = 0;
  }
  for (const key of Object.keys(totals)) totals[key] += lost[key];
  if (lost.skipped + lost.missed + lost.overrun > 0) sampledAt = performance.now();
  list.add(events);
  foot();
}

/** What is in view, and what is not. */
function foot() {
  const parts = [`${many(list.events.length, "event")} on this page`];
  if (list.leftView > 0) parts.push(`${number(list.leftView)} left it`);
  if (view?.leftView > 0) parts.push(`${number(view.leftView)} left the inspector`);
  const left = totals.skipped + totals.missed + totals.overrun;
  if (left > 0) parts.push(`${number(left)} not shown`);
  if (performance.now() - sampledAt < REMEMBERED) parts.unshift("sampling: more comes than can be shown");
  const place = byId("foot");
  say(place, parts.join("  ·  "));
  place.classList.toggle("sampling", left > 0);
}

function state(name) {
  const shown = feed.paused && name === "live" ? "paused" : name;
  const place = byId("status");
  place.dataset.state = shown;
  const texts = { live: "live", away: "reconnecting", paused: "paused" };
  const waiting = feed.waiting.length;
  say(place, shown === "paused" && waiting > 0 ? `paused, ${number(waiting)} wait` : texts[shown]);
}

function pause() {
  feed.pause(!feed.paused);
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(feed.paused));
  say(button, feed.paused ? "Go on" : "Pause");
  state(feed.paused ? "paused" : "live");
}

function open(sequence) {
  if (tabs.names().includes("events")) tabs.show("events");
  list.select(sequence, true);
}

/** The page was opened without the token. */
function locked() {
  byId("locked").showModal();
}

async function login(token) {
  await ask("/api/login", JSON.stringify({ token }));
  byId("locked").close();
  feed.follow(filter.used);
}

function escape() {
  if (detail.isOpen) detail.close();
  else if (filter.text !== "") filter.set("");
}

const keys = {
  "/": () => { if (tabs.names().includes("events")) tabs.show("events"); byId("filter").select(); byId("filter").focus(); },
  "?": () => byId("shortcuts").showModal(),
  Escape: escape,
  c: () => detail.copyCommand(),
  j: () => list.move(1),
  k: () => list.move(-1),
  p: pause,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input:not([type=radio], [type=range], [type=checkbox]), textarea, select");
  if (typing && event.key !== "Escape") return;
  const act = /^[1-6]$/.test(event.key) ? () => tabs.choose(Number(event.key)) : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
byId("pause").addEventListener("click", pause);
byId("help").addEventListener("click", () => byId("shortcuts").showModal());
byId("copy-tail").addEventListener("click", async () => {
  toast((await copy(tailCommand(filter.used))) ? "copied the command" : "the browser did not allow it");
});
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  login(event.target.elements.token.value.trim()).catch((error) => say(byId("token-result"), error.message));
});

// The token stands in the fragment, which no server sees, and does not stay in the address.
const given = decodeURIComponent(location.hash.slice(1));
if (given !== "") {
  history.replaceState(null, "", location.pathname);
  login(given).catch(locked);
} else {
  feed.follow("");
}
