"""One end of a session's data channel: numbered frames out, kept and sent again until acknowledged; frames in, put in order.

The agent and the plugin do the same, with the message types swapped.
"""

import json
import queue
import threading
import time

from websockets.exceptions import ConnectionClosed

import frames

RESEND_AFTER_SECONDS = 0.5
# No wait of these tests is longer; a lab that needs it all has failed.
LIMIT_SECONDS = 25


def eventually(condition):
    """Waits for what another thread or process does, and hands back the condition's value."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "nothing came of it within the limit"
        time.sleep(0.01)
    return value


class DataStream:
    """`ignored` frames are swallowed on arrival, as if the network had lost them."""

    def __init__(self, socket, sends, hears, sent=0, expected=0, ignored=0):
        self.socket, self.sends, self.hears = socket, sends, hears
        self.next_sequence, self.expected, self.ignored = sent, expected, ignored
        self.unacknowledged, self.early = {}, {}
        self.arrived = queue.Queue()
        self.sequences_seen = []
        self.acknowledgements = []
        self.closed = threading.Event()
        self.channel_closed = None
        self.paused = False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._receive, self._resend)]
        for thread in self.threads:
            thread.start()

    def send(self, payload, payload_type=frames.OUTPUT):
        with self.lock:
            frame = frames.Frame(self.sends, payload, self.next_sequence, payload_type)
            self.next_sequence += 1
            self.unacknowledged[frame.sequence] = frame
        if not self.paused:
            self._push(frame)
        return frame

    def receive(self):
        """The next frame in order."""
        return self.arrived.get(timeout=LIMIT_SECONDS)

    def read(self, count):
        """Exactly the bytes of the next frames, until there are `count`."""
        text = b""
        while len(text) < count:
            text += self.receive().payload
        return text

    def wait_until_acknowledged(self):
        eventually(lambda: not self.unacknowledged)

    def wait_until_closed(self):
        assert self.closed.wait(LIMIT_SECONDS), "the channel is still open"

    def close(self):
        self.socket.close()
        for thread in self.threads:
            thread.join(LIMIT_SECONDS)

    def acknowledge(self, frame):
        body = {
            "AcknowledgedMessageType": frame.kind,
            "AcknowledgedMessageId": str(frame.id),
            "AcknowledgedMessageSequenceNumber": frame.sequence,
            "IsSequentialMessage": True,
        }
        self._push(frames.Frame("acknowledge", json.dumps(body).encode()))

    def _push(self, frame):
        try:
            self.socket.send(frame.encode())
        except ConnectionClosed:
            self.closed.set()

    def _receive(self):
        try:
            for message in self.socket:
                self._take(frames.decode(message))
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()

    def _take(self, frame):
        if frame.kind == "acknowledge":
            body = json.loads(frame.payload)
            self.acknowledgements.append(body)
            with self.lock:
                self.unacknowledged.pop(body["AcknowledgedMessageSequenceNumber"], None)
        elif frame.kind == self.hears:
            self._take_stream(frame)
        elif frame.kind == "channel_closed":
            self.channel_closed = json.loads(frame.payload)
            self.closed.set()
        elif frame.kind in ("pause_publication", "start_publication"):
            self.paused = frame.kind == "pause_publication"

    def _take_stream(self, frame):
        self.sequences_seen.append(frame.sequence)
        if self.ignored:
            self.ignored -= 1
            return
        self.acknowledge(frame)
        if frame.sequence >= self.expected:
            self.early[frame.sequence] = frame
        while self.expected in self.early:
            self.arrived.put(self.early.pop(self.expected))
            self.expected += 1

    def _resend(self):
        while not self.closed.wait(RESEND_AFTER_SECONDS):
            with self.lock:
                oldest = next(iter(self.unacknowledged.values()), None)
            if oldest and not self.paused:
                self._push(oldest)
