// The views. On a wide page the events stand beside the others; on a narrow one they are a view like them.

import { byId } from "./dom.js";

const NAMES = ["events", "connections", "threads", "queues", "publish", "faults"];
const wide = matchMedia("(min-width: 900px)");

export class Tabs {
  constructor() {
    this.tabs = NAMES.map((name) => byId(`tab-${name}`));
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.show(tab.dataset.tab));
      tab.addEventListener("keydown", (event) => this.key(event));
    }
    wide.addEventListener("change", () => this.show(this.current));
    this.show(wide.matches ? "connections" : "events");
  }

  /** Those that can be chosen. */
  names() {
    return wide.matches ? NAMES.slice(1) : NAMES;
  }

  show(name) {
    this.current = wide.matches && name === "events" ? "connections" : name;
    document.body.dataset.tab = this.current;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === this.current;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
  }

  /** The view of this number, 1 for the events. */
  choose(digit) {
    const name = NAMES[digit - 1];
    if (wide.matches && name === "events") byId("rows").focus();
    else {
      this.show(name);
      byId(`tab-${name}`).focus();
    }
  }

  key(event) {
    const names = this.names();
    const at = names.indexOf(this.current);
    const to = {
      ArrowRight: (at + 1) % names.length, ArrowLeft: (at + names.length - 1) % names.length,
      Home: 0, End: names.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.show(names[to]);
    byId(`tab-${names[to]}`).focus();
  }
}
