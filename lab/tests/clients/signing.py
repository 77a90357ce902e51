"""SigV4 in the three forms that an agent uses: by secret, by its own RSA key, and over a websocket's handshake."""

import hashlib
import hmac
import time
from base64 import b64encode
from urllib.parse import parse_qsl, quote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

ALGORITHM = "AWS4-HMAC-SHA256"


def timestamp(skew=0):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + skew))


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _encoded(text):
    return quote(text, safe="-_.~")


def string_to_sign(method, target, headers, signed, body, stamp, scope):
    parts = urlsplit(target)
    query = sorted((_encoded(key), _encoded(value)) for key, value in parse_qsl(parts.query, keep_blank_values=True))
    lower = {name.lower(): value for name, value in headers.items()}
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/-_.~"),
            "&".join(f"{key}={value}" for key, value in query),
            *(f"{name}:{' '.join(lower[name].split())}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    return "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def _authorization(key_id, scope, signed, signature):
    return f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"


def by_secret(credentials, service, region, method, target, headers, body=b"", skew=0):
    """`headers` completed with date, token and Authorization; every header given is signed."""
    stamp = timestamp(skew)
    headers = {**headers, "X-Amz-Date": stamp}
    if credentials.get("SessionToken"):
        headers["X-Amz-Security-Token"] = credentials["SessionToken"]
    signed = sorted(name.lower() for name in headers)
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    text = string_to_sign(method, target, headers, signed, body, stamp, scope)
    signature = _hmac(key, text).hex()
    return {**headers, "Authorization": _authorization(credentials["AccessKeyId"], scope, signed, signature)}


def by_rsa_key(private_key, node_id, region, headers, body, skew=0):
    """A managed node's way: the label stays HMAC, the signature is RSASSA-PSS of the string to sign.

    The digest of the body is sent, and not signed as a header.
    """
    stamp = timestamp(skew)
    headers = {**headers, "X-Amz-Date": stamp}
    signed = ["content-type", "host", "x-amz-date", "x-amz-target"]
    scope = f"{stamp[:8]}/{region}/ssm/aws4_request"
    text = string_to_sign("POST", "/", headers, signed, body, stamp, scope)
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = b64encode(private_key.sign(text.encode(), pss, hashes.SHA256())).decode()
    assert len(signature) == 344, "RSA-2048"
    headers["X-Amz-Content-Sha256"] = hashlib.sha256(body).hexdigest()
    return {**headers, "Authorization": _authorization(node_id, scope, signed, signature)}
