// The official JavaScript client as a measured party: commands as lines of JSON on standard input, answers on
// standard output. The client itself is used as it is.
"use strict";
const readline = require("node:readline");
const { readFileSync } = require("node:fs");
const path = require("node:path");
for (const name of ["log", "info", "warn", "error", "debug"]) {
  console[name] = (...words) => process.stderr.write(words.map(String).join(" ") + "\n");
}
const { EventHub, Event } = require("@ftrack/api");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const update = JSON.parse(readFileSync(path.join(__dirname, "..", "data", "ftrack-payload-update.json"), "utf8"));
let hub;
let seen = 0;
let taken = 0;
let reached = () => {};
let target = Infinity;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const until = async (condition) => {
  while (!condition()) await pause(2);
};
const cpuUs = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const peakKib = () => Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
const begin = () => ({ cpu: cpuUs(), began: process.hrtime.bigint() });
const end = ({ cpu, began }, events) => ({
  events,
  cpu_us: cpuUs() - cpu,
  seconds: Number(process.hrtime.bigint() - began) / 1e9,
  peak_kib: peakKib(),
});
const question = (n) => ({
  n,
  selection: [{ entityType: "task", entityId: "a1b2c3d4-1111-4222-8333-aaaaaaaaaaaa" }],
  actionIdentifier: "studio.render.submit",
  description: "what a question or an answer says, long enough to be like a real one",
});
const other = (kind, n) =>
  ({
    "exact topic": `topic=show.task${n}.update`,
    prefix: `topic=show${n}.*`,
    "topic+field": `topic=ftrack.update and data.n=${n}`,
    "field only": `data.n=${n}`,
  })[kind];

// Subscribing is not confirmed, but packets keep their order: when an event of our own is back, the server knows of
// everything that was subscribed before.
const settle = async () => {
  let id;
  await new Promise((done) => {
    id = hub.subscribe("topic=bench.ready", done);
    hub.publish(new Event("bench.ready", {}));
  });
  hub.unsubscribe(id);
};

const commands = {
  async connect({ url }) {
    hub = new EventHub(url, "ann", "her-key");
    hub.connect();
    await until(() => hub.isConnected());
    return {};
  },
  async subscribe({ expression }) {
    hub.subscribe(expression, () => {
      seen += 1;
      if (seen >= target) reached();
    });
    await settle();
    return {};
  },
  async others({ kind, from, count }) {
    for (let n = from; n < from + count; n += 1) hub.subscribe(other(kind, n), () => {});
    return {};
  },
  async receive({ count }) {
    taken += count;
    const stretch = begin();
    if (seen < taken) {
      target = taken;
      await new Promise((done) => { reached = done; });
      target = Infinity;
    }
    return end(stretch, count);
  },
  // Its promise is kept when the packet is given to the socket: nothing is confirmed.
  async publish({ count }) {
    const stretch = begin();
    for (let n = 0; n < count; n += 1) {
      await hub.publish(new Event(update.topic, update.data));
    }
    return end(stretch, count);
  },
  async serve() {
    hub.subscribe("topic=bench.ask", (event) => event.data);
    await settle();
    return {};
  },
  async ask({ count, in_flight: inFlight }) {
    const times = [];
    let next = 0;
    const stretch = begin();
    const worker = async () => {
      while (next < count) {
        const n = next;
        next += 1;
        const began = process.hrtime.bigint();
        await hub.publishAndWaitForReply(new Event("bench.ask", question(n)), { timeout: 300 });
        times.push(Number(process.hrtime.bigint() - began) / 1e3);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    const result = end(stretch, count);
    times.sort((a, b) => a - b);
    const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
    return { ...result, p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999) };
  },
  async usage() {
    return { cpu_us: cpuUs(), peak_kib: peakKib() };
  },
};

process.on("unhandledRejection", (error) => process.stderr.write(String(error && error.stack) + "\n"));
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call, do: name, ...args } = JSON.parse(line);
  try {
    say({ call, ok: await commands[name](args) });
  } catch (error) {
    say({ call, error: "Error", message: String((error && error.message) || error) });
  }
}).on("close", () => process.exit(0));
