// The event that is open.

import { copy, members, pretty, publishCommand } from "./command.js";
import { ask, byId, element, size, time, toast } from "./dom.js";

/** Beyond this many pieces JSON is shown without colors. */
const COLORED = 20_000;

export class Detail {
  constructor({ closed, edit }) {
    this.place = byId("detail");
    this.event = null;
    this.closed = closed;
    this.turn = 0;
    byId("detail-close").addEventListener("click", () => this.close());
    byId("copy-publish").addEventListener("click", () => this.copyCommand());
    byId("copy-json").addEventListener("click", () => this.copyText(this.event?.text, "JSON"));
    byId("publish-again").addEventListener("click", () => {
      if (this.event) edit(this.event);
    });
  }

  async open(sequence) {
    this.turn += 1;
    const turn = this.turn;
    let answer;
    try {
      answer = await ask(`/api/events/${sequence}`);
    } catch (error) {
      if (turn === this.turn) this.missing(sequence, error.message);
      return;
    }
    if (turn !== this.turn) return;
    // Numbers stay as they were written: the text is taken apart, not parsed.
    const text = members(answer).get("event") ?? "null";
    const row = JSON.parse(answer);
    const parts = members(text);
    const target = parts.has("target") ? JSON.parse(parts.get("target")) : "";
    this.event = { row, text, topic: row.topic, data: parts.get("data") ?? "", target: target ?? "" };
    this.show();
  }

  show() {
    const { row, text } = this.event;
    byId("detail-title").textContent = row.topic;
    const facts = [`#${row.sequence}`, time(row.at), row.user ?? "no user", size(row.size)];
    facts.push(row.from === undefined ? "no client's" : `connection ${row.from}`);
    if (row.fate === "routed") facts.push(row.recipients === 0 ? "to nobody" : `to ${row.recipients}`);
    else facts.push(row.fate + (row.why ? `: ${row.why}` : ""));
    byId("detail-facts").textContent = facts.join("  ·  ");
    const pieces = pretty(text);
    const shown = pieces.length > COLORED
      ? [pieces.map(([piece]) => piece).join("")]
      : pieces.map(([piece, kind]) => (kind === "" ? piece : element(`span.${kind}`, {}, piece)));
    byId("detail-json").replaceChildren(...shown);
    this.reveal(true);
  }

  missing(sequence, why) {
    this.event = null;
    byId("detail-title").textContent = `event ${sequence}`;
    byId("detail-facts").textContent = why;
    byId("detail-json").replaceChildren();
    this.reveal(true);
  }

  reveal(shown) {
    this.place.hidden = !shown;
    for (const button of this.place.querySelectorAll("header button:not(#detail-close)")) {
      button.disabled = this.event === null;
    }
  }

  get isOpen() {
    return !this.place.hidden;
  }

  close() {
    this.turn += 1;
    this.event = null;
    this.reveal(false);
    this.closed();
  }

  copyCommand() {
    const { event } = this;
    this.copyText(event && publishCommand(event.topic, event.data, event.target), "command");
  }

  async copyText(text, what) {
    if (!text) return;
    toast((await copy(text)) ? `copied the ${what}` : "the browser did not allow it");
  }
}
