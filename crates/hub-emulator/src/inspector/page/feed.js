// What comes from the inspector, live. Events are gathered here and handed on once a frame.

/** How many events wait while the page is paused, or hidden. */
const WAITING = 5000;

export class Feed {
  /** `heard(part, data)` for states, `rows(rows, lost)` for events, `state(text)` for the connection. */
  constructor({ heard, rows, state, locked }) {
    this.heard = heard;
    this.rows = rows;
    this.state = state;
    this.locked = locked;
    this.waiting = [];
    this.lost = { skipped: 0, missed: 0, overrun: 0 };
    this.paused = false;
    this.scheduled = false;
    this.source = null;
    this.run = null;
    this.retry = 0;
  }

  /** Follows the events of an expression from now on; what was there before comes first. */
  follow(expression) {
    this.expression = expression;
    clearTimeout(this.retry);
    this.source?.close();
    this.waiting = [];
    this.fresh = true;
    const query = new URLSearchParams({ expression, limit: "1000" });
    const source = new EventSource(`/api/stream?${query}`);
    this.source = source;
    source.onopen = () => this.state("live");
    source.onerror = () => this.failed(source);
    source.addEventListener("about", (message) => this.about(JSON.parse(message.data)));
    source.addEventListener("events", (message) => this.take(JSON.parse(message.data)));
    for (const part of ["counts", "connections", "queues", "threads", "faults"]) {
      source.addEventListener(part, (message) => this.heard(part, JSON.parse(message.data)));
    }
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) this.schedule();
  }

  about(about) {
    // Another run counts its events from 1 again.
    if (this.run !== null && this.run !== about.run) this.fresh = true;
    this.run = about.run;
    this.heard("about", about);
  }

  take({ rows, skipped, missed }) {
    for (const row of rows) this.waiting.push(row);
    this.lost.skipped += skipped;
    this.lost.missed += missed;
    const over = this.waiting.length - WAITING;
    if (over > 0) {
      this.waiting.splice(0, over);
      this.lost.overrun += over;
    }
    this.schedule();
    if (this.paused) this.state("paused");
  }

  schedule() {
    if (this.scheduled || this.paused) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      if (this.paused) return;
      const { waiting, lost, fresh } = this;
      this.waiting = [];
      this.lost = { skipped: 0, missed: 0, overrun: 0 };
      this.fresh = false;
      this.rows(waiting, lost, fresh);
    });
  }

  async failed(source) {
    if (source !== this.source) return;
    this.state("away");
    if (source.readyState !== EventSource.CLOSED) return;
    // The browser has given up: something answered that is no stream.
    const status = await fetch("/api/faults").then((response) => response.status, () => 0);
    if (source !== this.source) return;
    if (status === 401) this.locked();
    else this.retry = setTimeout(() => this.follow(this.expression), 1500);
  }
}
