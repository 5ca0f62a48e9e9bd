"""Prints what Apprise asks for each URL, one JSON object a line; nothing is sent."""
import base64, json, sys
import apprise, requests

asked = []

class Answer:
    status_code = 200
    headers = {}
    content = b'{"ok": true, "success": true, "status": 1, "id": "1", "room_id": "!room:example.org", "event_id": "$a", "result": {"message_id": 1}, "joined_rooms": ["!room:example.org"]}'
    text = content.decode()
    ok = True

    def json(self):
        return json.loads(self.content)

def record(method):
    def ask(url, data=None, headers=None, params=None, auth=None, files=None, json=None, **_):
        headers = {k.lower(): v for k, v in (headers or {}).items()}
        if auth:
            headers["authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        if isinstance(data, bytes):
            data = data.decode(errors="replace")
        asked.append({"method": method, "url": url, "headers": headers, "data": data if json is None else json, "params": params})
        return Answer()
    return ask

requests.request = lambda method, *a, **k: record(method.upper())(*a, **k)
for method in ["get", "post", "put"]:
    setattr(requests, method, record(method.upper()))
    setattr(requests.Session, method, lambda self, *a, m=method, **k: record(m.upper())(*a, **k))

for url in sys.argv[1:]:
    asked.clear()
    sender = apprise.Apprise()
    sent = sender.add(url) and sender.notify(title="the title", body="the text", notify_type=apprise.NotifyType.FAILURE)
    print(json.dumps({"url": url, "sent": sent, "asked": asked}, default=str))
