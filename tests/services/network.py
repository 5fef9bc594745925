"""Connections that a test can cut or stall, so that no server has to be stopped for its clients to miss it."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

CHUNK = 65536


class Network:
    """A thread in which every link forwards."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._links: list[Link] = []

    def link(self, host: str, port: int) -> "Link":
        """Open a port that leads to another one."""
        made = Link(self, host, port)
        self._links.append(made)
        return made

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the network's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """Close everything."""
        for link in self._links:
            link.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Link:
    """A local port that leads to a server, until it is cut or stalled."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network = network
        self._target = (host, port)
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.port: int = network.run(self._open())

    def cut(self) -> None:
        """Reset every connection, and every new one."""
        self._network.run(self._cut())

    def reset(self) -> None:
        """Reset every connection; new ones are let through."""
        self._network.run(self._reset())

    def stall(self) -> None:
        """Let nothing through any more; connections stay, and new ones are taken and not answered."""
        self._network.run(self._stall())

    def heal(self) -> None:
        """Let everything through; what was stalled goes on."""
        self._network.run(self._heal())

    def close(self) -> None:
        """End for good."""
        self._network.run(self._close())

    async def _open(self) -> int:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.add(writer)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            return
        await self._flows.wait()
        onward_reader, onward = await asyncio.open_connection(*self._target)
        self._connections.add(onward)
        ways = [
            asyncio.create_task(self._pump(reader, onward)),
            asyncio.create_task(self._pump(onward_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._connections.discard(onward)
            onward.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()

    async def _reset(self) -> None:
        for writer in list(self._connections):
            writer.transport.abort()

    async def _cut(self) -> None:
        self._is_cut = True
        await self._reset()

    async def _stall(self) -> None:
        self._flows.clear()

    async def _heal(self) -> None:
        self._is_cut = False
        self._flows.set()

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
