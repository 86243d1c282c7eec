"""An echo server on websockets, for Python. Usage: websockets_echo.py PORT"""

import asyncio
import contextlib
import sys

import websockets


async def echo(socket) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in socket:
            await socket.send(message)


async def main(port: int) -> None:
    options = {"compression": None, "max_size": 64 << 20, "ping_interval": None, "backlog": 1024}
    async with websockets.serve(echo, "127.0.0.1", port, **options):
        await asyncio.Future()


asyncio.run(main(int(sys.argv[1])))
