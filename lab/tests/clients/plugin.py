"""The client's half of a session, as session-manager-plugin speaks it."""

import json
import os
import queue
import sys
import uuid

import frames
from agent_wire import open_websocket
from stream import DataStream

CLIENT_VERSION = "1.2.764.0"


class Plugin(DataStream):
    """Opens the `StreamUrl` of StartSession or ResumeSession, with the token as its first message."""

    def __init__(self, ca, session, sent=0, expected=0, ignored=0):
        self.id = str(uuid.uuid4())
        socket = open_websocket(session["StreamUrl"], ca)
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": session["TokenValue"],
            "ClientId": self.id,
            "ClientVersion": CLIENT_VERSION,
        }
        socket.send(json.dumps(opening))
        super().__init__(socket, "input_stream_data", "output_stream_data", sent, expected, ignored)

    def type(self, text):
        return self.send(text.encode())

    def resize(self, columns, rows):
        return self.send(json.dumps({"cols": columns, "rows": rows}).encode(), frames.SIZE)

    def terminate(self):
        return self.send(frames.FLAG_TERMINATE, frames.FLAG)


def main(arguments):
    """As a program, for the AWS CLI: stdin is typed, and what comes is printed until the channel is closed."""
    if arguments == ["--version"]:
        print(CLIENT_VERSION)
        return
    # The AWS CLI passes the name of a variable, so that the token is on no command line.
    client = Plugin(os.environ["AWS_CA_BUNDLE"], json.loads(os.environ[arguments[0]]))
    client.type(sys.stdin.read())
    client.wait_until_closed()
    while True:
        try:
            sys.stdout.buffer.write(client.arrived.get_nowait().payload)
        except queue.Empty:
            break
    sys.stdout.flush()
    client.close()


if __name__ == "__main__":
    main(sys.argv[1:])
