// A small hub on the historical socket.io 0.9.19, as a puppet. Routes by topic (a final "*" is a wildcard) and by
// targets of the form "id=..."; acknowledges before it routes; removes no repeats.
"use strict";
const http = require("node:http");
const readline = require("node:readline");
// It was written for a Node where this was there.
process.on("uncaughtException", (error) => { process.stderr.write(String(error && error.stack) + "\n"); });
const socketio = require("socket.io");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const why = (error) => ({ error: "Error", message: String((error && error.message) || error) });

let io;
let server;
const sockets = new Set();
const ids = new Map();
const order = [];
const repeated = new Set();
let received = 0;
let disconnects = 0;
let connections = 0;

const fits = (expression, topic) => {
  const found = /topic\s*=\s*"?([\w.*-]+)"?/.exec(expression);
  if (!found) return false;
  const value = found[1];
  return value.endsWith("*") ? topic.startsWith(value.slice(0, -1)) : topic === value;
};

const route = (event) => {
  const wanted = /^id="?([^"]+)"?$/.exec(event.target || "");
  for (const socket of sockets) {
    for (const [id, subscription] of socket.subscriptions) {
      if (fits(subscription, event.topic) && (!event.target || (wanted && wanted[1] === id))) {
        socket.emit("ftrack.event", event);
        break;
      }
    }
  }
};

const commands = {
  start({ heartbeat = 25, timeout = 60, destroy }) {
    return new Promise((done, failed) => {
      server = http.createServer((_, response) => response.end("hub"));
      server.on("error", failed);
      server.listen(0, "127.0.0.1", () => {
        io = socketio.listen(server, {
          "log level": 0,
          transports: ["websocket"],
          "heartbeat interval": heartbeat,
          "heartbeat timeout": timeout,
          ...(destroy ? { "destroy buffer size": destroy } : {}),
        });
        io.set("authorization", (data, accept) => accept(null, data.headers["ftrack-api-key"] === "her-key"));
        io.sockets.on("connection", (socket) => {
          connections += 1;
          socket.subscriptions = new Map();
          sockets.add(socket);
          socket.on("disconnect", () => { disconnects += 1; sockets.delete(socket); });
          socket.on("ftrack.event", (event, acknowledge) => {
            if (typeof acknowledge === "function") acknowledge({ success: true });
            const subscriber = event.data && event.data.subscriber;
            if (event.topic === "ftrack.meta.subscribe") {
              socket.subscriptions.set(subscriber.id, event.data.subscription);
            } else if (event.topic === "ftrack.meta.unsubscribe") {
              socket.subscriptions.delete(subscriber.id);
            } else {
              received += 1;
              if (!ids.has(event.id)) order.push(event.data && event.data.n);
              else repeated.add(event.data && event.data.n);
              ids.set(event.id, (ids.get(event.id) || 0) + 1);
              route(event);
            }
          });
        });
        done({ port: server.address().port });
      });
    });
  },
  state() {
    let subscriptions = 0;
    for (const socket of sockets) subscriptions += socket.subscriptions.size;
    let ordered = true;
    for (let n = 1; n < order.length; n += 1) if (order[n] < order[n - 1]) ordered = false;
    return { connections, open: sockets.size, disconnects, received, unique: ids.size, subscriptions, ordered };
  },
  // The numbers of the events that came more than once.
  repeated() {
    return { numbers: [...repeated] };
  },
  // Puts everybody out with `0::`, as the server does itself.
  kick() {
    for (const socket of [...sockets]) socket.disconnect();
    return {};
  },
  // Cuts every TCP connection.
  cut() {
    for (const socket of [...sockets]) {
      const transport = io.transports[socket.id];
      if (transport && transport.socket) transport.socket.destroy();
    }
    return {};
  },
  // An event whose packet has exactly this many bytes: the server writes the length of 65,536 wrongly.
  emit_sized({ topic, bytes }) {
    const event = { topic, data: "", source: { id: "hub" }, target: "", id: "sized-" + bytes, inReplyToEvent: null };
    const packet = (data) => '5:::{"name":"ftrack.event","args":[' + JSON.stringify({ ...event, data }) + "]}";
    const length = Buffer.byteLength(packet(""));
    event.data = "x".repeat(bytes - length);
    for (const socket of sockets) socket.emit("ftrack.event", event);
    return { length: Buffer.byteLength(packet(event.data)) };
  },
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call, do: name, ...args } = JSON.parse(line);
  try {
    say({ call, ok: await commands[name](args) });
  } catch (error) {
    say({ call, ...why(error) });
  }
}).on("close", () => process.exit(0));
