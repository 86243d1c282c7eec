"""The library python3-websockets as a client: somebody else's reading of the RFC."""

import asyncio
import ssl

from harness.deadlines import scaled
from harness.failures import CheckFailed, check


def converse(
    url: str, messages: list[str | bytes], tls: ssl.SSLContext | None = None
) -> tuple[list[str | bytes], int]:
    """Send each message and wait for its echo; then close. The echoes, and the close code."""
    try:
        import websockets
    except ImportError:
        check(False, "the library websockets", "it is not installed: make setup brings it")

    async def talk() -> tuple[list[str | bytes], int]:
        context = tls
        if url.startswith("wss:") and not tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        echoes = []
        async with websockets.connect(url, ssl=context, compression=None) as socket:
            for message in messages:
                await socket.send(message)
                echoes.append(await socket.recv())
        return echoes, socket.close_code

    try:
        return asyncio.run(asyncio.wait_for(talk(), scaled(15)))
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        raise CheckFailed(
            "the library websockets to get its echoes, and a CLOSE",
            f"it says: {error or type(error).__name__}",
        ) from None
