"""An echo server on websockets, for Python. Usage: websockets_echo.py PORT"""

import asyncio
import contextlib
import sys

from websockets.exceptions import ConnectionClosed
from websockets.server import WebSocketServerProtocol, serve


async def echo(socket: WebSocketServerProtocol) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


async def main(port: int) -> None:
    async with serve(
        echo,
        "127.0.0.1",
        port,
        compression=None,
        max_size=64 << 20,
        ping_interval=None,
        backlog=1024,
    ):
        await asyncio.Future()


asyncio.run(main(int(sys.argv[1])))
