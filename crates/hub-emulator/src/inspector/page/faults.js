// The fault dials of both services.

import { Cards, ask, byId, element, many, number, say } from "./dom.js";

/** Things that go wrong often, with their JSON. */
const PRESETS = {
  ftrack: [
    ["the connection is reset", { action: { do: "reset" }, after: { packets: 1 } }],
    ["the connection ends with a FIN", { action: { do: "fin" } }],
    ["silence: nothing comes any more", { action: { do: "silent" } }],
    ["the server puts the client out", { action: { do: "disconnect" } }],
    ["the handshake is refused (503)", { action: { do: "status", status: 503 }, times: 3 }],
    ["the handshake takes 5 s", { action: { do: "delay", ms: 5000 } }],
    ["connections are refused", { action: { do: "refuse" }, times: 3 }],
    ["3 acknowledgements are not sent", { action: { do: "withhold_acks", count: 3 } }],
    ["acknowledgements come 2 s late", { action: { do: "delay_acks", ms: 2000 } }],
  ],
  imodelhub: [
    ["the service is unavailable (503)", { action: { do: "status", status: 503 }, times: 3 }],
    ["too many requests (429)", { action: { do: "status", status: 429 } }],
    ["the connection is reset", { action: { do: "reset" } }],
    ["no answer comes", { action: { do: "hang" } }],
    ["answers take 5 s", { action: { do: "delay", ms: 5000 }, times: 0 }],
  ],
};

export class Faults {
  constructor() {
    this.form = byId("fault-form");
    this.result = byId("fault-result");
    this.cards = new Cards(byId("faults-in-force"));
    this.state = null;
    this.readOnly = false;
    const { elements } = this.form;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    this.form.addEventListener("change", (event) => {
      if (event.target.name === "side") this.choose();
      if (event.target === elements.preset) this.preset();
      if (event.target === elements.chance) this.chance();
    });
    elements.chance.addEventListener("input", () => this.showChance());
    byId("fault-fire").addEventListener("click", () => this.fire());
    byId("fault-clear").addEventListener("click", () => this.turn({ do: "clear", side: this.side }, () => "cleared"));
    this.choose();
  }

  get side() {
    return this.form.elements.side.value;
  }

  choose() {
    const { preset } = this.form.elements;
    preset.replaceChildren(...PRESETS[this.side].map(([text], value) => element("option", { value }, text)));
    byId("fault-fire").hidden = this.side !== "ftrack";
    this.preset();
    this.setChance();
  }

  preset() {
    const [, fault] = PRESETS[this.side][Number(this.form.elements.preset.value)];
    this.form.elements.fault.value = JSON.stringify(fault);
  }

  /** What is typed; says so if it is no JSON. */
  typed() {
    try {
      return JSON.parse(this.form.elements.fault.value);
    } catch (error) {
      this.say("wrong", `the fault is not JSON: ${error.message}`);
      return null;
    }
  }

  add() {
    const fault = this.typed();
    if (fault) this.turn({ do: "add", side: this.side, fault }, () => "it waits");
  }

  fire() {
    const fault = this.typed();
    if (fault) this.turn({ do: "fire", action: fault.action ?? fault }, (said) => `struck ${many(said.hit, "connection")}`);
  }

  chance() {
    const probability = Number(this.form.elements.chance.value) / 100;
    const chance = { probability, seed: 1 };
    this.turn({ do: "chance", side: this.side, chance }, () => (probability > 0 ? "chance is on" : "chance is off"));
  }

  async turn(change, told) {
    try {
      const said = JSON.parse(await ask("/api/faults", JSON.stringify(change)));
      this.heard(said);
      this.say("good", told(said));
    } catch (error) {
      this.say("wrong", error.message);
    }
  }

  say(kind, text) {
    this.result.dataset.kind = kind;
    this.result.textContent = text;
  }

  setChance() {
    const { chance } = this.form.elements;
    if (document.activeElement !== chance) chance.value = Math.round((this.state?.[this.side].chance?.probability ?? 0) * 100);
    this.showChance();
  }

  showChance() {
    const { value } = this.form.elements.chance;
    say(byId("chance-value"), value === "0" ? "off" : `${value} %`);
  }

  heard(state) {
    this.state = state;
    const waiting = state.ftrack.waiting.length + state.imodelhub.waiting.length + state.defects.on.length;
    say(byId("count-faults"), waiting > 0 ? number(waiting) : "");
    this.setChance();
    this.cards.show([
      ["ftrack", state.ftrack, (dial) => this.dial("ftrack", dial)],
      ["imodelhub", state.imodelhub, (dial) => this.dial("iModelHub", dial)],
      ["flaws", { ...state.defects, readOnly: this.readOnly }, (defects) => this.defects(defects)],
    ]);
  }

  dial(name, { waiting, fired, chance }) {
    const strikes = Object.entries(fired);
    const idle = waiting.length === 0 && strikes.length === 0 && !chance;
    return element("article.card", {}, element("h3", {}, element("span.name", {}, name),
      element("span.note", {}, chance ? `chance ${Math.round(chance.probability * 1000) / 10} %` : "")),
    idle ? element("p.note", {}, "nothing goes wrong") : null,
    waiting.length > 0 ? element("ul", {}, ...waiting.map((fault) => element("li", {}, element("code", {}, brief(fault))))) : null,
    strikes.length > 0 ? element("p.note", {}, `struck: ${strikes.map(([what, count]) => `${what} ${number(count)}`).join(", ")}`) : null);
  }

  defects({ on, known }) {
    return element("details.card", { open: on.length > 0 || byId("faults-in-force").querySelector("details")?.open === true },
      element("summary", {}, `lasting flaws${on.length > 0 ? `: ${on.length} on` : ""}`),
      element("div.flaws", {}, ...known.map((name) => element("label", {}, element("input", {
        type: "checkbox", "data-key": name, checked: on.includes(name), disabled: this.readOnly,
        onchange: (event) => this.turn({ do: "defect", name, on: event.target.checked }, () => `${name} is switched`),
      }), ` ${name}`))));
  }
}

/** A fault without what is as ever. */
function brief(fault) {
  const rest = Object.entries(fault).filter(([key, value]) => !(
    (key === "match" && Object.values(value).every((part) => part === null)) || (key === "skip" && value === 0)
    || (key === "times" && value === 1) || (key === "after" && value === "start") || value === null || key === "action"));
  const action = Object.entries(fault.action).map(([key, value]) => (key === "do" ? value : `${key} ${value}`)).join(" ");
  return [action, ...rest.map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`)].join(" · ");
}
