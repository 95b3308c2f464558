// The official JavaScript client as a puppet: commands as lines of JSON on standard input, answers and events as
// lines of JSON on standard output. The client itself is used as it is.
"use strict";
const readline = require("node:readline");

// Standard output belongs to the puppet's answers.
for (const name of ["log", "info", "warn", "error", "debug"]) {
  console[name] = (...words) => process.stderr.write(words.map(String).join(" ") + "\n");
}
const { EventHub, Event } = require("@ftrack/api");

const hubs = new Map();
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const why = (error) => ({ error: error && error.name ? error.name : typeof error, message: String((error && error.message) || error) });

const make = ({ topic, data, target, id }) => {
  const event = new Event(topic, data, target ? { target } : {});
  if (id) event.getData().id = id;
  return event;
};

const until = async (condition, ms) => {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error("it took too long");
    await new Promise((done) => setTimeout(done, 5));
  }
};

const commands = {
  async connect({ hub, url, user, key, ms = 10000 }) {
    const made = new EventHub(url, user, key);
    hubs.set(hub, made);
    made.connect();
    await until(() => made.isConnected(), ms);
    return { id: made._id };
  },
  async connected({ hub }) {
    return { connected: Boolean(hubs.get(hub).isConnected()) };
  },
  async wait_connected({ hub, ms = 30000 }) {
    await until(() => hubs.get(hub).isConnected(), ms);
    return {};
  },
  async subscribe({ hub, expression, id, metadata, answer }) {
    const made = hubs.get(hub);
    let count = 0;
    const callback = (event) => {
      say({ event, subscriber: name });
      count += 1;
      if (answer === "echo") return { echo: event.data };
      if (answer === "twice") {
        made.publishReply(event, { part: 1 });
        made.publishReply(event, { part: 2 });
        return undefined;
      }
      return answer === undefined ? undefined : answer;
    };
    const name = made.subscribe(expression, callback, id || metadata ? { ...metadata, ...(id ? { id } : {}) } : undefined);
    return { subscriber: name };
  },
  async unsubscribe({ hub, subscriber }) {
    return { removed: hubs.get(hub).unsubscribe(subscriber) };
  },
  async publish({ hub, ...event }) {
    return { id: await hubs.get(hub).publish(make(event)) };
  },
  async publish_many({ hub, count, ...event }) {
    for (let n = 0; n < count; n += 1) await hubs.get(hub).publish(make({ ...event, data: { ...event.data, n } }));
    return { count };
  },
  // Queues and does not wait: the promise of an event published while the server is away.
  async publish_later({ hub, ...event }) {
    hubs.get(hub).publish(make(event)).catch((error) => say({ later: why(error) }));
    return {};
  },
  async request({ hub, seconds = 5, ...event }) {
    return { reply: await hubs.get(hub).publishAndWaitForReply(make(event), { timeout: seconds }) };
  },
  async request_all({ hub, count, ms = 5000, ...event }) {
    const replies = [];
    await hubs.get(hub).publish(make(event), { onReply: (reply) => replies.push(reply) });
    await until(() => replies.length >= count, ms);
    return { replies };
  },
  async disconnect({ hub }) {
    hubs.get(hub).disconnect();
    return {};
  },
};

process.on("unhandledRejection", (error) => say({ unhandled: why(error) }));
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call, do: name, ...args } = JSON.parse(line);
  try {
    say({ call, ok: await commands[name](args) });
  } catch (error) {
    say({ call, ...why(error) });
  }
}).on("close", () => process.exit(0));
