// The historical socket.io 0.9.19 with the least of a hub on top: it acknowledges and, if told so, sends what comes to
// everybody by the library's own broadcast, which encodes it once.
"use strict";
const http = require("node:http");
const readline = require("node:readline");
const { readFileSync } = require("node:fs");
process.on("uncaughtException", (error) => { process.stderr.write(String(error && error.stack) + "\n"); });
for (const name of ["log", "info", "warn", "error", "debug"]) {
  console[name] = (...words) => process.stderr.write(words.map(String).join(" ") + "\n");
}
const socketio = require("socket.io");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const memory = (name) => Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(readFileSync("/proc/self/status", "utf8"))[1]);
let open = 0;
let received = 0;

const commands = {
  start({ broadcast }) {
    return new Promise((done, failed) => {
      const server = http.createServer((_, response) => response.end("hub"));
      server.on("error", failed);
      server.listen(0, "127.0.0.1", 1024, () => {
        const io = socketio.listen(server, { "log level": 0, transports: ["websocket"], "heartbeat interval": 250, "heartbeat timeout": 600 });
        io.sockets.on("connection", (socket) => {
          open += 1;
          socket.on("disconnect", () => { open -= 1; });
          socket.on("ftrack.event", (event, acknowledge) => {
            if (typeof acknowledge === "function") acknowledge({ success: true });
            if (event.topic.startsWith("ftrack.meta.")) return;
            received += 1;
            if (broadcast) io.sockets.emit("ftrack.event", event);
          });
        });
        done({ ftrack: `http://127.0.0.1:${server.address().port}` });
      });
    });
  },
  async state() {
    return { open, received };
  },
  async usage() {
    const { user, system } = process.cpuUsage();
    return { cpu_us: user + system, resident_kib: memory("VmRSS"), peak_kib: memory("VmHWM") };
  },
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { call, do: name, ...args } = JSON.parse(line);
  try {
    say({ call, ok: await commands[name](args) });
  } catch (error) {
    say({ call, error: "Error", message: String((error && error.message) || error) });
  }
}).on("close", () => process.exit(0));
