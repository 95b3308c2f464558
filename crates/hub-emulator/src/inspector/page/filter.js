// The filter: checked as it is typed, by the same code that hubs use.

import { ask, byId, say } from "./dom.js";

/** How long to wait for the next key. */
const PAUSE = 120;

export class Filter {
  constructor(changed) {
    this.changed = changed;
    this.input = byId("filter");
    this.used = "";
    this.turn = 0;
    this.timer = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.check(), PAUSE);
    });
    byId("bar").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.timer);
      this.check();
    });
  }

  /** What is typed, good or not. */
  get text() {
    return this.input.value;
  }

  set(text) {
    this.input.value = text;
    clearTimeout(this.timer);
    this.check();
  }

  async check() {
    const text = this.input.value;
    this.turn += 1;
    const turn = this.turn;
    let found;
    try {
      found = JSON.parse(await ask(`/api/check?${new URLSearchParams({ expression: text })}`));
    } catch (error) {
      found = { ok: false, error: { message: error.message, caret: "" } };
    }
    // Something else was typed meanwhile.
    if (turn !== this.turn) return;
    this.show(found);
    if (found.ok && text.trim() !== this.used) {
      this.used = text.trim();
      this.changed(this.used);
    }
  }

  show({ ok, error }) {
    this.input.setAttribute("aria-invalid", String(!ok));
    byId("filter-error").hidden = ok;
    if (ok) return;
    byId("filter-caret").textContent = error.caret;
    say(byId("filter-message"), error.message);
  }
}
