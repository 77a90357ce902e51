"""A simulated managed node: an agent's wire with a thread that answers what comes down the control channel."""

import json
import queue
import subprocess
import threading
import time

from websockets.exceptions import ConnectionClosed, WebSocketException

import frames
from agent_wire import AgentWire
from stream import LIMIT_SECONDS, DataStream

PLUGIN = "aws:runShellScript"


class Node:
    """Registered, Online and connected when built. What it hears is kept in `heard` (frames) and `sessions` (by id)."""

    def __init__(self, lab, activation, key=None, connect=True, **heartbeat):
        self.wire = AgentWire(lab, key)
        answer = self.wire.register(activation["ActivationId"], activation["ActivationCode"])
        assert answer.status == 200, answer
        self.id = self.wire.id
        for answer in (self.wire.role_token(), self.wire.heartbeat_empty(), self.wire.heartbeat(**heartbeat)):
            assert answer.status == 200, answer
        self.heard = queue.Queue()
        self.sessions = queue.Queue()
        self.running = {}
        # Frames of a new session's client that get lost on the way.
        self.lose_inputs = 0
        self.control = None
        if connect:
            self.connect()

    def connect(self):
        self.control = self.wire.control_channel()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def close(self):
        if self.control:
            self.control.close()
            self.thread.join(LIMIT_SECONDS)
        for child in list(self.running.values()):
            child.kill()
        while not self.sessions.empty():
            self.sessions.get_nowait().close()

    def session(self, session_id=None):
        """The node's end of that session, or of the next one that is opened to it; ends of others are closed."""
        while True:
            session = self.sessions.get(timeout=LIMIT_SECONDS)
            if session_id in (None, session.content["SessionId"]):
                return session
            session.close()

    def hear(self, kind):
        """The next frame of that kind on the control channel, others dropped."""
        while True:
            frame = self.heard.get(timeout=LIMIT_SECONDS)
            if frame.kind == kind:
                return frame

    def tell(self, kind, body):
        frame = frames.Frame(kind, json.dumps(body).encode())
        self.control.send(frame.encode())
        return frame

    def _listen(self):
        try:
            for message in self.control:
                frame = frames.decode(message)
                self.heard.put(frame)
                if frame.kind == "agent_job":
                    self._take_job(frame)
                elif frame.kind == "interactive_shell":
                    self._take_session(frame)
        except ConnectionClosed:
            pass

    def _take_job(self, frame):
        job = json.loads(frame.payload)
        acknowledgement = {
            "jobId": job["JobId"],
            "acknowledgedMessageId": str(frame.id),
            "createdDate": str(frame.created),
            "statusCode": "200",
            "errorMessage": "Successful",
        }
        self.tell("agent_job_ack", acknowledgement)
        content = json.loads(job["Content"])
        if job["Topic"].startswith("aws.ssm.cancelCommand"):
            child = self.running.get(content["CancelMessageId"])
            if child:
                child.kill()
        else:
            threading.Thread(target=self._run, args=(job["JobId"], content), daemon=True).start()

    def _run(self, job_id, content):
        self.reply(job_id, content, "InProgress", -1)
        script = "\n".join(content["Parameters"]["commands"])
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.running[job_id] = child
        output, errors = child.communicate()
        del self.running[job_id]
        status = {0: "Success", -9: "Cancelled"}.get(child.returncode, "Failed")
        self.reply(job_id, content, status, child.returncode, output.decode(), errors.decode())

    def reply(self, job_id, *result):
        body = {"schemaVersion": 1, "jobId": job_id, "content": json.dumps(self.reply_payload(*result)), "topic": "aws.ssm.sendCommand"}
        self.tell("agent_job_reply", body)

    def reply_payload(self, content, status, code, output="", errors=""):
        """A SendReplyPayload of the agent, for a document of one plugin."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        ended = "0001-01-01T00:00:00.000Z" if status == "InProgress" else stamp
        plugin = {
            "status": status,
            "code": code,
            "name": PLUGIN,
            "output": output + (f"\n----------ERROR-------\n{errors}" if errors else ""),
            "startDateTime": stamp,
            "endDateTime": ended,
            "outputS3BucketName": "",
            "outputS3KeyPrefix": "",
            "stepName": "",
            "standardOutput": output,
            "standardError": errors,
        }
        agent = {"lang": "en-US", "name": "amazon-ssm-agent", "os": "", "osver": "1", "ver": ""}
        return {
            "additionalInfo": {"agent": agent, "dateTime": stamp},
            "documentStatus": status,
            "documentTraceOutput": "",
            "runtimeStatus": {plugin_id(content["DocumentContent"]): plugin},
        }

    def _take_session(self, frame):
        task = json.loads(frame.payload)
        content = json.loads(task["Content"])
        try:
            socket = self.wire.data_channel(content["SessionId"])
        except (AssertionError, WebSocketException):
            # Terminated before it was opened; an agent logs it and goes on.
            return
        session = NodeSession(self, socket, task["TaskId"], content, self.lose_inputs)
        self.sessions.put(session)


def plugin_id(document):
    """What the agent files the result under: the plugin in documents of 1.x, the step in those of 2.x."""
    if document.get("runtimeConfig"):
        return next(iter(document["runtimeConfig"]))
    return document["mainSteps"][0]["name"]


class NodeSession(DataStream):
    def __init__(self, node, socket, task_id, content, ignored):
        self.node, self.task_id, self.content = node, task_id, content
        super().__init__(socket, "output_stream_data", "input_stream_data", ignored=ignored)
        state = {"SchemaVersion": 1, "SessionState": "Connected", "SessionId": content["SessionId"]}
        self._push(frames.Frame("agent_session_state", json.dumps(state).encode()))

    def print(self, text):
        return self.send(text.encode())

    def complete(self, status="Success", retry=0):
        """The shell has ended: said on the control channel, as often as it is not acknowledged."""
        body = {
            "SchemaVersion": 1,
            "TaskId": self.task_id,
            "Topic": "agent_task_complete",
            "FinalTaskStatus": status,
            "IsRoutingFailure": False,
            "AwsAccountId": "",
            "InstanceId": self.node.id,
            "Output": "",
            "S3Bucket": "",
            "S3UrlSuffix": "",
            "CwlGroup": "",
            "CwlStream": "",
            "RetryNumber": retry,
        }
        return self.node.tell("agent_task_complete", body)
