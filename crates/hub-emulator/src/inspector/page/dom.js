// Elements and texts. What events say becomes text, never elements: nothing here takes HTML.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element: a tag such as "p.class", its properties, and its children (elements or texts). */
export function element(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length > 0) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

/** The time of day, with milliseconds. */
export const time = (millis) => clock.format(millis);

/** A number with its thousands apart. */
export const number = (value) => value.toLocaleString("en-US");

/** A size in bytes. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** How long something took. */
export function span(millis) {
  if (millis < 10) return `${millis.toFixed(1)} ms`;
  return millis < 10_000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`;
}

/** "1 subscription", "2 subscriptions". */
export const many = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/** Puts a text there, if it is another one. */
export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

let toastTimer = 0;

/** Says something for a moment. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.hidden = true; }, 2500);
}

/** Asks the inspector; throws what it says is wrong. */
export async function ask(path, change) {
  const request = change === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: change,
  };
  const response = await fetch(path, request);
  const text = await response.text();
  if (!response.ok) {
    let said = text;
    try { said = JSON.parse(text).error; } catch { /* not JSON: as it is */ }
    const message = typeof said === "object" && said !== null ? said.message : said;
    throw Object.assign(new Error(message || `status ${response.status}`), { status: response.status });
  }
  return text;
}

/** The cards of a panel. One is made again only when what it shows is another: clicks and selections survive. */
export class Cards {
  constructor(place) {
    this.place = place;
    this.made = new Map(); // key -> {text, node}
  }

  /** Shows `[key, value, make]` in this order, where `make(value)` gives an element. */
  show(items) {
    const { place } = this;
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const made = new Map();
    for (const [key, value, make] of items) {
      const text = JSON.stringify(value);
      const before = this.made.get(key);
      made.set(key, before?.text === text ? before : { text, node: make(value) });
    }
    this.made = made;
    const nodes = [...made.values()].map((card) => card.node);
    const wanted = new Set(nodes);
    for (const node of [...place.childNodes]) if (!wanted.has(node)) node.remove();
    let at = place.firstChild;
    for (const node of nodes) {
      if (at === node) at = at.nextSibling;
      else place.insertBefore(node, at);
    }
    if (focused !== undefined && !place.contains(document.activeElement)) {
      place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    }
  }
}
