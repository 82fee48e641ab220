"""Messages between processes over TCP: long-lived connections that carry frames (proto/rpc.proto).

A program makes one `RpcServer` for what others ask it, and one `RpcPeers` for what it asks others:

    server = RpcServer(identity, codec, handler, loop=loop)
    await server.start("127.0.0.1", 9100)
    peers = RpcPeers(identity, addresses, codec, loop=loop, handler=handler, server=server)
    peers.request(2, message, done)

Everything runs on the event loop's thread; nothing here makes a task or a coroutine for a message.
"""

from hashrange.runtime.rpc.identity import Identity
from hashrange.runtime.rpc.peers import Handler, Peer, Peers
from hashrange.runtime.rpc.rpc_peers import RpcPeers
from hashrange.runtime.rpc.server import RpcServer

__all__ = ["Handler", "Identity", "Peer", "Peers", "RpcPeers", "RpcServer"]
