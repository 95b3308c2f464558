"""The official Python client as a puppet: commands as lines of JSON on standard input, answers and events as lines of
JSON on standard output. The client itself is used as it is."""

import json
import logging
import queue
import sys
import threading
import time

import ftrack_api.event.base
import ftrack_api.event.expression
import ftrack_api.event.hub

logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
hubs = {}
calls = queue.Queue()


def say(value):
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def plain(event):
    data = dict(event._data)
    data["inReplyToEvent"] = data.pop("in_reply_to_event", None)
    return data


def make(topic, data=None, target="", **_):
    return ftrack_api.event.base.Event(topic=topic, data=data, target=target)


def turn():
    """Lets every hub handle what has come. `wait` looks for an event for a tenth of a second, so it is called only
    when there is one."""
    for hub in list(hubs.values()):
        while not hub._event_queue.empty():
            hub.wait(duration=0)


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it took too long")
        turn()
        time.sleep(0.002)


class Commands:
    def connect(self, hub, url, user, key):
        made = ftrack_api.event.hub.EventHub(url, user, key)
        # The pauses between its attempts to reconnect are 10 s by default: shortened, or tests would wait.
        made._auto_reconnect_delay = 1
        made.init_connection()
        made.connect()
        hubs[hub] = made
        return {"id": made.id}

    def connected(self, hub):
        return {"connected": bool(hubs[hub].connected)}

    def wait_connected(self, hub, ms=30000):
        until(lambda: hubs[hub].connected, ms / 1000)
        return {}

    def subscribe(self, hub, expression, id=None, metadata=None, answer=None, priority=100, stop=False):
        made = hubs[hub]
        who = {**(metadata or {}), **({"id": id} if id else {})} or None

        def callback(event):
            say({"event": plain(event), "subscriber": name})
            if stop:
                event.stop()
            if answer == "echo":
                return {"echo": event["data"]}
            if answer == "twice":
                made.publish_reply(event, {"part": 1})
                made.publish_reply(event, {"part": 2})
                return None
            return answer

        name = made.subscribe(expression, callback, subscriber=who, priority=priority)
        return {"subscriber": name}

    def unsubscribe(self, hub, subscriber):
        hubs[hub].unsubscribe(subscriber)
        return {"removed": True}

    def publish(self, hub, **event):
        made = make(**event)
        return {"id": hubs[hub].publish(made)}

    def publish_many(self, hub, count, data=None, **event):
        for n in range(count):
            hubs[hub].publish(make(data={**(data or {}), "n": n}, **event))
        return {"count": count}

    def publish_later(self, hub, **event):
        return self.publish(hub, **event)

    def publish_local(self, hub, **event):
        return {"results": hubs[hub].publish(make(**event), synchronous=True)}

    def request(self, hub, seconds=5, **event):
        return {"reply": self.request_all(hub, 1, seconds * 1000, **event)["replies"][0]}

    def request_all(self, hub, count, ms=5000, **event):
        replies = []
        hubs[hub].publish(make(**event), on_reply=lambda reply: replies.append(plain(reply)))
        until(lambda: len(replies) >= count, ms / 1000)
        return {"replies": replies}

    def unacknowledged(self, hub):
        return {"packets": len(hubs[hub]._packet_callbacks)}

    def disconnect(self, hub):
        hubs.pop(hub).disconnect()
        return {}

    def expressions(self, cases):
        """The official parser and matcher on many pairs of expression and event."""
        parser = ftrack_api.event.expression.Parser()
        results = []
        for text, event in cases:
            try:
                parsed = parser.parse(text)
            except Exception as error:
                results.append({"refused": type(error).__name__})
                continue
            try:
                results.append({"matches": bool(parsed.match(ftrack_api.event.base.Event(**event)))})
            except Exception as error:
                results.append({"raises": type(error).__name__})
        return {"results": results}


def read():
    for line in sys.stdin:
        calls.put(json.loads(line))
    calls.put(None)


threading.Thread(target=read, daemon=True).start()
commands = Commands()
while True:
    try:
        call = calls.get(timeout=0.002)
    except queue.Empty:
        turn()
        continue
    if call is None:
        break
    number, name = call.pop("call"), call.pop("do")
    try:
        say({"call": number, "ok": getattr(commands, name)(**call)})
    except Exception as error:
        say({"call": number, "error": type(error).__name__, "message": str(error)})
