// The list of events, newest first. Only the rows that can be seen have elements, and they are used again.

import { byId, element, number, say, time } from "./dom.js";

/** How many events the page keeps. */
const KEPT = 5000;
/** How many rows beyond the edges have elements. */
const MARGIN = 6;

export class List {
  constructor(opened) {
    this.opened = opened;
    this.view = byId("rows");
    this.spacer = byId("spacer");
    this.events = []; // oldest first
    this.leftView = 0;
    this.selected = null;
    this.used = new Map(); // sequence -> element
    this.free = [];
    this.unseen = 0;
    this.measure();
    this.view.addEventListener("scroll", () => this.draw(), { passive: true });
    this.view.addEventListener("keydown", (event) => this.key(event));
    this.view.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.select(Number(row.dataset.sequence), true);
    });
    new ResizeObserver(() => { this.measure(); this.draw(); }).observe(this.view);
    byId("newer").addEventListener("click", () => this.toNewest());
  }

  measure() {
    this.height = Number.parseFloat(getComputedStyle(this.view).getPropertyValue("--row")) || 24;
    this.room = this.view.clientHeight;
  }

  clear() {
    this.events = [];
    this.leftView = 0;
    this.unseen = 0;
    this.view.scrollTop = 0;
    this.draw();
  }

  /** More events, oldest first. */
  add(events) {
    if (events.length > 0) {
      this.events.push(...events);
      // Whoever looks at older events goes on looking at them.
      if (this.view.scrollTop > this.height / 2) {
        this.unseen += events.length;
        this.stretch();
        this.view.scrollTop += events.length * this.height;
      }
      if (this.events.length > KEPT * 1.2) {
        const over = this.events.length - KEPT;
        this.events.splice(0, over);
        this.leftView += over;
      }
    }
    this.draw();
  }

  stretch() {
    const height = `${this.events.length * this.height}px`;
    if (this.spacer.style.height !== height) this.spacer.style.height = height;
  }

  draw() {
    this.stretch();
    const { events, height, view } = this;
    const top = view.scrollTop;
    if (top < height / 2) this.unseen = 0;
    const first = Math.max(0, Math.floor(top / height) - MARGIN);
    const last = Math.min(events.length - 1, Math.ceil((top + this.room) / height) + MARGIN);
    const wanted = new Map();
    for (let place = first; place <= last; place += 1) {
      const event = events[events.length - 1 - place];
      wanted.set(event.sequence, [event, place]);
    }
    for (const [sequence, row] of this.used) {
      if (!wanted.has(sequence)) {
        this.used.delete(sequence);
        this.free.push(row);
      }
    }
    for (const [sequence, [event, place]] of wanted) {
      const row = this.used.get(sequence) ?? this.row(event);
      row.style.transform = `translateY(${place * height}px)`;
      row.ariaPosInSet = place + 1;
      row.ariaSetSize = events.length;
      const selected = sequence === this.selected;
      if (row.classList.contains("selected") !== selected) {
        row.classList.toggle("selected", selected);
        row.ariaSelected = selected;
      }
    }
    for (const row of this.free) row.hidden = true;
    this.tell();
  }

  /** What stands beside the rows. */
  tell() {
    byId("empty").hidden = this.events.length > 0;
    const newer = byId("newer");
    newer.hidden = this.unseen === 0;
    if (this.unseen > 0) say(newer, `↑ ${number(this.unseen)} newer`);
    const active = this.used.get(this.selected);
    if (active) this.view.setAttribute("aria-activedescendant", active.id);
    else this.view.removeAttribute("aria-activedescendant");
  }

  row(event) {
    const row = this.free.pop() ?? this.make();
    row.hidden = false;
    row.id = `event-${event.sequence}`;
    row.dataset.sequence = event.sequence;
    row.dataset.at = event.at;
    row.dataset.fate = event.fate === "routed" && event.recipients === 0 ? "nobody" : event.fate;
    row.dataset.reply = event.inReplyTo !== undefined;
    const [when, topic, user, to, what] = row.children;
    say(when, time(event.at));
    say(topic, event.topic);
    topic.title = event.topic;
    say(user, event.user ?? "—");
    say(to, recipients(event));
    say(what, event.fate === "refused" ? event.why : event.summary);
    this.used.set(event.sequence, row);
    return row;
  }

  make() {
    const cell = (name) => element(`span.${name}`);
    const row = element("div.row", { role: "option" }, ...["when", "topic", "user", "to", "what"].map(cell));
    this.spacer.append(row);
    return row;
  }

  select(sequence, open) {
    this.selected = sequence;
    this.draw();
    if (open) this.opened(sequence);
  }

  /** The place of the selected event, newest first; -1 without one. */
  place() {
    const index = this.events.findLastIndex((event) => event.sequence === this.selected);
    return index < 0 ? -1 : this.events.length - 1 - index;
  }

  /** Selects so many events further on; opens it if one is open. */
  move(by) {
    if (this.events.length === 0) return;
    const place = Math.min(this.events.length - 1, Math.max(0, this.place() + by));
    const top = place * this.height;
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    const least = top + this.height - this.room;
    if (least > this.view.scrollTop) this.view.scrollTop = least;
    this.select(this.events[this.events.length - 1 - place].sequence, !byId("detail").hidden);
  }

  toNewest() {
    this.view.scrollTop = 0;
    this.view.focus();
    this.draw();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.room / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in moves) this.move(moves[event.key]);
    else if (event.key === "Home") this.toNewest();
    else if (event.key === "End") this.move(this.events.length);
    else if (event.key === "Enter" && this.selected !== null) this.opened(this.selected);
    else return;
    event.preventDefault();
  }
}

/** Whom it went to. */
function recipients(event) {
  switch (event.fate) {
    case "routed": return `→${event.recipients}`;
    case "subscribed": return "sub";
    case "unsubscribed": return "unsub";
    case "refused": return "no";
    case "repeated": return "again";
    default: return "target?";
  }
}
