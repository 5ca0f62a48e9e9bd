"""A mail server: MODE (plain, starttls, tls), certificate, key, folder. It prints its port, and writes
each mail that it takes to the folder as JSON. It takes the password of the user "me"."""
import asyncio, email, email.policy, json, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode, certificate, key, folder = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
taken = 0


def let_in(server, session, envelope, mechanism, data):
    assert isinstance(data, LoginPassword)
    fits = data.login == b"me" and data.password == "pässword: /".encode()
    # With `handled`, it would say nothing to a wrong one.
    return AuthResult(success=fits, handled=False)


class Box:
    async def handle_DATA(self, server, session, envelope):
        global taken
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [
            {"type": p.get_content_type(), "id": p["content-id"], "length": len(p.get_payload(decode=True) or b""),
             "text": p.get_content() if p.get_content_maintype() == "text" else None}
            for p in mail.walk() if not p.is_multipart()
        ]
        shown = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
            "login": session.authenticated, "parts": parts, "type": mail.get_content_type(),
            "headers": {name.lower(): str(mail[name]) for name in mail.keys()},
            "defects": [str(d) for p in mail.walk() for d in p.defects],
        }
        taken += 1
        path = os.path.join(folder, f"{taken}.json")
        with open(path + ".new", "w") as file:
            json.dump(shown, file)
        os.rename(path + ".new", path)
        return "250 2.0.0 Ok: queued as 1A2B"


def session():
    wanted = dict(authenticator=let_in, auth_required=mode != "plain")
    if mode == "starttls":
        return SMTP(Box(), tls_context=context, require_starttls=True, **wanted)
    return SMTP(Box(), auth_require_tls=False, **wanted)


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
