// Bentley's official iModelHub client and Microsoft's REST client for queues as a puppet: commands as lines of JSON on
// standard input, answers as lines of JSON on standard output.
"use strict";
const readline = require("node:readline");
for (const name of ["log", "info", "warn", "error", "debug"]) {
  console[name] = (...words) => process.stderr.write(words.map(String).join(" ") + "\n");
}
const { AuthorizedClientRequestContext, AccessToken } = require("@bentley/itwin-client");
const hub = require("@bentley/imodelhub-client");
const azure = require("azure-sb");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const why = (error) => ({
  error: (error && error.constructor && error.constructor.name) || typeof error,
  status: error && (error.status || error.statusCode || (error.response && error.response.status)),
  number: error && error.errorNumber,
  message: String((error && error.message) || error),
});

let client;
let queue;
let token;
const context = () => new AuthorizedClientRequestContext(AccessToken.fromTokenString(token));
const events = new Map();
const listeners = new Map();
const messages = new Map();
let next = 0;

const plain = (event) => {
  if (!event) return null;
  const { _handler, _sasToken, _lockUrl, ...members } = event;
  return { type: event.constructor.name, members: JSON.parse(JSON.stringify(members)), locked: Boolean(_lockUrl) };
};
const keep = (event) => {
  if (!event) return { event: null };
  next += 1;
  events.set(next, event);
  return { event: plain(event), number: next };
};
const call = (object, method, ...args) =>
  new Promise((done, failed) =>
    object[method](...args, (error, result) => (error ? failed(error instanceof Error ? error : new Error(String(error))) : done(result))));

const commands = {
  async open({ url, access }) {
    token = "Bearer " + access;
    client = new hub.IModelBankClient(url, undefined);
    return {};
  },
  async use_token({ access }) {
    token = "Bearer " + access;
    return {};
  },
  async subscribe({ imodel, types }) {
    const made = await client.events.subscriptions.create(context(), imodel, types);
    return { id: made.wsgId, types: made.eventTypes };
  },
  async update({ imodel, id, types }) {
    const subscription = new hub.EventSubscription();
    Object.assign(subscription, { wsgId: id, eventTypes: types });
    const made = await client.events.subscriptions.update(context(), imodel, subscription);
    return { id: made.wsgId, types: made.eventTypes };
  },
  async unsubscribe({ imodel, id }) {
    await client.events.subscriptions.delete(context(), imodel, id);
    return {};
  },
  async sas({ imodel }) {
    const sas = await client.events.getSASToken(context(), imodel);
    return { sas: sas.sasToken, base: sas.baseAddress };
  },
  async get({ sas, base, id, timeout }) {
    return keep(await client.events.getEvent(context(), sas, base, id, timeout));
  },
  async listen({ imodel, id }) {
    const authentication = async () => {
      say({ event: { renewed: true } });
      return AccessToken.fromTokenString(token);
    };
    listeners.set(id, client.events.createListener(context(), authentication, id, imodel, (event) => say({ event: plain(event) })));
    return {};
  },
  async stop_listening({ id }) {
    listeners.get(id)();
    return {};
  },
  async global_subscribe({ given, types }) {
    const made = await client.globalEvents.subscriptions.create(context(), given, types);
    return { id: made.wsgId, types: made.eventTypes };
  },
  async global_update({ id, given, types }) {
    const subscription = new hub.GlobalEventSubscription();
    Object.assign(subscription, { wsgId: id, subscriptionId: given, eventTypes: types });
    const made = await client.globalEvents.subscriptions.update(context(), subscription);
    return { id: made.wsgId, types: made.eventTypes };
  },
  async global_unsubscribe({ id }) {
    await client.globalEvents.subscriptions.delete(context(), id);
    return {};
  },
  async global_sas() {
    const sas = await client.globalEvents.getSASToken(context());
    return { sas: sas.sasToken, base: sas.baseAddress };
  },
  async global_listen({ id }) {
    const authentication = async () => AccessToken.fromTokenString(token);
    listeners.set(id, client.globalEvents.createListener(context(), authentication, id, (event) => say({ event: plain(event) })));
    return {};
  },
  async global_get({ sas, base, id, timeout, peek }) {
    const how = peek ? hub.GetEventOperationType.Peek : hub.GetEventOperationType.Destructive;
    return keep(await client.globalEvents.getEvent(context(), sas, base, id, timeout, how));
  },
  async delete_event({ number }) {
    return { deleted: await events.get(number).delete(context()) };
  },
  // ---- azure-sb
  async queue_open({ url, topic, id }) {
    const service = azure.createServiceBusService(`Endpoint=${url}/;SharedAccessKeyName=manage;SharedAccessKey=c2VjcmV0`);
    queue = { service, topic, id };
    return {};
  },
  async receive({ lock, seconds = 2 }) {
    const options = { isPeekLock: Boolean(lock), timeoutIntervalInS: seconds };
    const message = await call(queue.service, "receiveSubscriptionMessage", queue.topic, queue.id, options);
    next += 1;
    messages.set(next, message);
    return { number: next, broker: message.brokerProperties, type: message.contentType, location: message.location, body: message.body };
  },
  async renew({ number }) {
    await call(queue.service, "renewLockForMessage", messages.get(number));
    return {};
  },
  async unlock({ number }) {
    await call(queue.service, "unlockMessage", messages.get(number));
    return {};
  },
  async complete({ number }) {
    await call(queue.service, "deleteMessage", messages.get(number));
    return {};
  },
};

process.on("unhandledRejection", (error) => process.stderr.write("unhandled: " + String(error && error.stack) + "\n"));
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call: number, do: name, ...args } = JSON.parse(line);
  try {
    say({ call: number, ok: await commands[name](args) });
  } catch (error) {
    say({ call: number, ...why(error) });
  }
}).on("close", () => process.exit(0));
