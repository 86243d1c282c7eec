"""The likely cause of wrong bytes, in words: mistakes that people make leave traces of their own."""

import base64
import binascii
import hashlib
from itertools import permutations

from harness import frames, http
from harness.frames import Frame


def _rotation(mask: bytes, by: int) -> bytes:
    """What remains of a byte that was unmasked with the key turned by `by`: period 4."""
    return bytes(mask[i] ^ mask[(i + by) % 4] for i in range(4))


def masking(expected: bytes, received: bytes, sent: list[Frame]) -> str | None:
    """The traces of masks: the payload as sent, a turned key, a key of another frame."""
    if len(expected) != len(received) or not sent or not expected:
        return None
    left = bytes(a ^ b for a, b in zip(received[:4096], expected[:4096]))
    at = frames.first_difference(expected, received) or 0
    masks = [frame.mask for frame in sent[-8:] if len(frame.mask) == 4]
    if not masks:
        return None
    # Several frames may have gone out together: it is the one whose payload this should be.
    mask = next((f.mask for f in sent[::-1] if f.payload == expected and f.mask), masks[-1])

    def matches(pattern: bytes, start: int = 0) -> bool:
        return left[start:] == (pattern * (len(left) // 4 + 1))[start : len(left)]

    if matches(mask):
        return (
            "your echo is still masked: byte 0 of the payload is the client's mask XOR what it should be "
            f"({received[0]:02x} = {mask[0]:02x} ^ {expected[0]:02x}). Unmask before use: payload[i] ^ mask[i % 4] (§5.3)."
        )
    if at and matches(mask, at):
        return f"from byte {at} of the payload on, it is still masked: only what the first read brought was unmasked (§5.3)."
    if len(received) > 1 and matches(bytes(octet ^ mask[0] for octet in mask)):
        return (
            "every byte was unmasked with mask[0]: i % 4 was restarted at each partial read. Keep the mask's place from "
            "one read to the next (§5.3)."
        )
    for by in (1, 2, 3):
        if matches(_rotation(mask, by)):
            return (
                f"the mask is turned by {by} from the first byte on: its place must start at mask[0] anew with each frame, "
                "and not go on from where the frame before ended (§5.3)."
            )
        if at and matches(_rotation(mask, by), at):
            restarted = (
                "the mask started at mask[0] again: i % 4 was restarted"
                if by == -at % 4
                else f"the mask is turned by {by}: its place was lost"
            )
            return f"from byte {at} of the payload on, {restarted} at a partial read. Keep the mask's place from one read to the next (§5.3)."
    for other in masks[-2::-1]:
        if other != mask and matches(bytes(a ^ b for a, b in zip(mask, other))):
            return "the payload was unmasked with the masking key of an earlier frame: read it anew from each header (§5.3)."
    raw = sent[-1].raw
    place = raw.find(mask, 2) if sent[-1].mask == mask else -1  # of the key
    for wrong in range(place):
        if matches(bytes(a ^ b for a, b in zip(mask, raw[wrong : wrong + 4]))):
            return (
                f"the masking key was read from byte {wrong} of the frame; it stands at byte {place}: after the two bytes of the "
                "header, and after a length of 16 or 64 bits (§5.2)."
            )
    return None


def stream(expected: bytes, received: bytes) -> str | None:
    """Bytes lost, doubled or added in a long answer."""
    at = frames.first_difference(expected, received)
    if at is None:
        return None
    if at == len(received) and len(received) < len(expected):
        return None
    probe = received[at : at + 32]
    if len(probe) >= 8:
        skipped = expected.find(probe, at + 1)
        if skipped > 0:
            return (
                f"{skipped - at} bytes are missing after byte {at}: the rest of a short write was dropped. What send() did "
                "not take must wait, in order, for EPOLLOUT."
            )
        again = expected.rfind(probe, 0, at + len(probe) - 1)
        if again >= 0 and len(expected) > 64:
            return (
                f"from byte {at} on, bytes from {again} on are repeated: after a partial send the buffer was sent again "
                "from its start. Keep an offset of what has gone."
            )
    return None


def state(expected: bytes, received: bytes, sent: list[Frame]) -> str | None:
    """What is left of earlier messages, and fragments in the wrong order."""
    parts: list[bytes] = []
    for frame in sent:
        if frame.opcode in (frames.TEXT, frames.BINARY):
            parts = []
        if frame.opcode < 8:
            parts.append(frame.payload)
    if 1 < len(parts) <= 5 and any(received == b"".join(p) for p in permutations(parts)):
        return "all fragments are there, but in another order than they were sent in (§5.4)."
    if len(parts) > 1 and received and received == parts[-1]:
        return (
            "only the last fragment came back: a message is all its fragments, put together (§5.4)."
        )
    if len(parts) > 1 and received and received == parts[0]:
        return "only the first fragment came back: a message ends with the frame that has FIN=1 (§5.4)."
    for frame in sent:
        if frame.opcode >= 8 and frame.payload and frame.payload in received:
            if frame.payload not in expected:
                return "bytes of a control frame are part of the message: it may stand between fragments, but is none of them (§5.4)."
    if len(received) > len(expected) and received.endswith(expected) and expected:
        return (
            f"the bytes of an earlier message stand before it ({frames.show(received[:-len(expected)])}): the state of the "
            "message before was not reset."
        )
    if len(received) > len(expected) and received.startswith(expected):
        return f"{len(received) - len(expected)} bytes too many at the end: was a buffer sent to its capacity, or the next frame with it?"
    if len(received) < len(expected) and expected.startswith(received) and received:
        return f"the last {len(expected) - len(received)} bytes are missing."
    if received and len(received) == len(expected) and received == received[:1] * len(received):
        return "all bytes are the same: was the buffer sent before it was filled?"
    return None


def payload(expected: bytes, received: bytes, sent: list[Frame]) -> str | None:
    found = masking(expected, received, sent) or state(expected, received, sent)
    return found or (stream(expected, received) if len(received) != len(expected) else None)


def frame(expected: Frame, received: Frame, sent: list[Frame]) -> str | None:
    """Why a frame is not the one that was expected."""
    if received.mask:
        return "a server's frame must not be masked: bit 0x80 of the second byte is 0, and no masking key follows (§5.1)."
    if received.rsv:
        return "RSV bits are set, but no extension was negotiated (§5.2)."
    if received.opcode != expected.opcode:
        return _opcode(expected, received, sent)
    if received.fin != expected.fin:
        return "FIN is 0: an answer in one frame is the first and the last of its message (§5.4)."
    if expected.opcode == frames.CLOSE:
        return close(expected.payload, received.payload)
    if expected.opcode == frames.PONG and expected.payload and not received.payload:
        return "the PONG came without its payload: it must carry the same bytes as the PING that it answers (§5.5.3)."
    return payload(expected.payload, received.payload, sent)


def _opcode(expected: Frame, received: Frame, sent: list[Frame]) -> str | None:
    if received.opcode == frames.CLOSE:
        return _too_strict(received.payload, sent)
    if received.opcode in (frames.PING, frames.PONG) and received.payload == expected.payload:
        return (
            "the payload is right, the opcode is not: a PING is answered by a PONG, 0xA (§5.5.3)."
        )
    if received.payload == expected.payload:
        return f"the payload is right, the opcode is not: {frames.name(received.opcode)} for {frames.name(expected.opcode)} (§5.6)."
    return None


def _too_strict(body: bytes, sent: list[Frame]) -> str:
    """The server fails the connection over a legal frame: what makes it look wrong?"""
    code = int.from_bytes(body[:2], "big") if len(body) > 1 else None
    why = body[2:].decode("utf-8", "replace")
    told = f"the server failed the connection with {code or 'an empty CLOSE'}"
    told += f" and says: “{why}”. " if why else ". "
    last = sent[-1] if sent else Frame(0, b"")
    asked = []
    data = [f for f in sent if f.opcode < frames.CLOSE]
    ended = next((i for i, f in enumerate(data) if f.fin), len(data))
    if code == 1002 and any(f.opcode != frames.CONTINUATION for f in data[ended + 1 :]):
        asked.append("was the state of the message before reset when it ended, at FIN=1 (§5.4)")
    if last.raw and last.length_form > 7 and code in (1002, 1009):
        asked.append(f"was the {last.length_form}-bit length read in network byte order (§5.2)")
    if code == 1007:
        asked.append(
            "was each byte unmasked with its own byte of the mask, over partial reads too (§5.3)"
        )
        asked.append("did a fragment or a read cut a character (§8.1)")
    if code == 1002:
        asked.append("were bytes lost or read twice before this frame")
    return f"{told}What was sent is legal: {', or '.join(asked) or 'a check is too strict'}{'?' * bool(asked) or '.'}"


def close(expected: bytes, received: bytes) -> str | None:
    """Close bodies; the reason is the server's own business, so only the code counts."""
    code, got = expected[:2], received[:2]
    if len(received) == 1:
        return (
            "a CLOSE body of one byte: it is empty, or at least the two bytes of a code (§5.5.1)."
        )
    if not got and code:
        return "the CLOSE carries no code: two bytes, the code in network byte order, come first (§5.5.1)."
    if got and not code:
        return "an empty CLOSE is answered by an empty one; 1005 and 1006 are never sent (§7.4.1)."
    if got == code[::-1]:
        return (
            f"the close code is in host byte order: {int.from_bytes(code, 'big')} is sent as {code.hex(' ')}, most significant "
            "byte first (§5.5.1)."
        )
    return None


def silence(sent: list[Frame], pieces: int, head: bytes, size: int) -> str | None:
    """Why nothing more came: the server probably still waits for bytes that it has."""
    if not sent:
        return (
            "the server sleeps though it owes something: what should wake it up? EPOLLIN or EPOLLOUT, armed for what it waits for; "
            "with EPOLLET, reading until EAGAIN each time; a timer set again after it has rung."
        )
    last = sent[-1]
    width = {126: 2, 127: 8}.get(head[1] & 0x7F, 0) if len(head) > 1 else 0
    if width and int.from_bytes(head[2 : 2 + width], "little") == size - 2 - width:
        return "the length of the server's own frame is in host byte order: the most significant byte goes first (§5.2)."
    if last.raw and last.length_form == 16 and len(last.payload) % 257:
        return "the server may still be waiting: was the 16-bit length read in network byte order (most significant byte first, §5.2)?"
    if last.raw and last.length_form == 64:
        return "the server may still be waiting: was the 64-bit length read in network byte order (most significant byte first, §5.2)?"
    if pieces > 1:
        return "the frame came in pieces: a partial read must keep what it has, and go on from there with the next one."
    return None


def accept(key: str, received: str) -> str | None:
    """Which mistake makes this Sec-WebSocket-Accept out of that key."""
    raw = key.encode("latin-1")

    def digest(data: bytes) -> str:
        return base64.b64encode(hashlib.sha1(data).digest()).decode()

    try:
        decoded = base64.b64decode(raw)
    except binascii.Error:
        decoded = b""
    sha1 = hashlib.sha1(raw + http.GUID)
    mistakes = {
        digest(raw + b"\r\n" + http.GUID): "the key was hashed with the CRLF that ends its line",
        digest(raw + b"\r" + http.GUID): "the key was hashed with the CR that ends its line",
        digest(b" " + raw + http.GUID): "the key was hashed with the space that follows the colon",
        digest(raw + http.GUID + b"\0"): "the terminating NUL was hashed too",
        digest(raw + http.GUID + b"\n"): "a newline was hashed too",
        digest(
            raw.rstrip(b"=") + http.GUID
        ): "the key was hashed without its padding; hash its text as sent",
        digest(raw + http.GUID.lower()): "the GUID is in lower case",
        digest(http.GUID + raw): "the GUID was put before the key; it comes after it",
        digest(raw): "the GUID is missing",
        digest(http.GUID): "the key is missing: only the GUID was hashed",
        digest(
            decoded + http.GUID
        ): "the key was base64-decoded before it was hashed; hash its text as sent",
        sha1.hexdigest(): "it is the digest in hex; base64 of its 20 bytes is wanted",
        base64.b64encode(
            sha1.hexdigest().encode()
        ).decode(): "the hex digest was base64-encoded; its 20 raw bytes are wanted",
        accept_of_example(): "it is the answer to the RFC's example key, whatever key is sent",
        key: "the key was sent back as it came",
        base64.urlsafe_b64encode(
            sha1.digest()
        ).decode(): "the alphabet is base64url (- and _); + and / are wanted",
        base64.b64encode(sha1.digest()).decode().rstrip("="): "the padding (=) is missing",
        base64.b64encode(
            hashlib.sha256(raw + http.GUID).digest()
        ).decode(): "the hash is SHA-256; SHA-1 is wanted",
        base64.b64encode(
            hashlib.md5(raw + http.GUID).digest()
        ).decode(): "the hash is MD5; SHA-1 is wanted",
    }
    cause = mistakes.get(received)
    if cause is None and received.strip().lower() == http.accept_value(key).lower():
        cause = "upper and lower case are mixed up"
    return f"{cause} (§4.2.2)." if cause else None


def accept_of_example() -> str:
    return http.accept_value(http.KEY)
