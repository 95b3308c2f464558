"""The official Python client as a measured party: commands as lines of JSON on standard input, answers on standard
output. The client itself is used as it is."""

import json
import logging
import pathlib
import sys
import time

import ftrack_api.event.base
import ftrack_api.event.expression
import ftrack_api.event.hub

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
here = pathlib.Path(__file__).resolve().parent
update = json.loads((here.parent / "data" / "ftrack-payload-update.json").read_text())


class Reached(BaseException):
    """Leaves `wait`, which goes on for ever."""


def peak_kib():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return None


class Stretch:
    def __init__(self):
        self.cpu, self.began = time.process_time(), time.perf_counter()

    def end(self, events):
        cpu, seconds = time.process_time() - self.cpu, time.perf_counter() - self.began
        return {"events": events, "cpu_us": cpu * 1e6, "seconds": seconds, "peak_kib": peak_kib()}


class Commands:
    def __init__(self):
        self.hub = None
        self.seen = self.taken = 0
        self.target = None

    def connect(self, url):
        self.hub = ftrack_api.event.hub.EventHub(url, "ann", "her-key")
        self.hub.init_connection()
        self.hub.connect()
        return {}

    def subscribe(self, expression):
        def callback(event):
            self.seen += 1
            if self.target is not None and self.seen >= self.target:
                raise Reached

        self.hub.subscribe(expression, callback)
        self.settle()
        return {}

    def settle(self):
        """Subscribing is not confirmed, but packets keep their order: when an event of our own is back, the server
        knows of everything that was subscribed before."""

        def callback(event):
            raise Reached

        name = self.hub.subscribe("topic=bench.ready", callback)
        self.hub.publish(ftrack_api.event.base.Event(topic="bench.ready"))
        try:
            self.hub.wait()
        except Reached:
            pass
        self.hub.unsubscribe(name)

    def receive(self, count):
        self.taken += count
        stretch = Stretch()
        if self.seen < self.taken:
            self.target = self.taken
            try:
                self.hub.wait()
            except Reached:
                pass
            self.target = None
        return stretch.end(count)

    def publish(self, count, window):
        """Confirmed: no more than `window` without their acknowledgement."""
        stretch = Stretch()
        open_ = self.hub._packet_callbacks
        for n in range(count):
            while len(open_) >= window:
                time.sleep(0.0005)
            event = ftrack_api.event.base.Event(topic=update["topic"], data=update["data"])
            self.hub.publish(event)
        while open_:
            time.sleep(0.0005)
        return stretch.end(count)

    def expressions(self, texts, event, count):
        parser = ftrack_api.event.expression.Parser()
        event["in_reply_to_event"] = event.pop("inReplyToEvent", None)
        made = ftrack_api.event.base.Event(**event)
        stretch = Stretch()
        for n in range(count):
            parsed = parser.parse(texts[n % len(texts)])
        parse = stretch.end(count)
        all_ = [parser.parse(text) for text in texts]
        stretch = Stretch()
        for n in range(count):
            all_[n % len(all_)].match(made)
        return {"parse": parse, "match": stretch.end(count)}

    def usage(self):
        return {"cpu_us": time.process_time() * 1e6, "peak_kib": peak_kib()}


commands = Commands()
for line in sys.stdin:
    call = json.loads(line)
    number, name = call.pop("call"), call.pop("do")
    try:
        answer = {"call": number, "ok": getattr(commands, name)(**call)}
    except Exception as error:
        answer = {"call": number, "error": type(error).__name__, "message": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
