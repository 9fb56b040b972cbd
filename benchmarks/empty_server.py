"""The peer of the rpc benchmark: a grpc.aio handler that parses the request and returns ready bytes.

    python benchmarks/empty_server.py REPLY_FILE

Prints its port when it answers, and on SIGTERM how many requests it has answered. What this process
does per request is what any handler on grpc.aio and uvloop must do: the ceiling to work against.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import grpc.aio
import uvloop

from loyalty.nextbest.v1 import decision_pb2

METHOD = "/loyalty.nextbest.v1.DecisionService/Decide"


class Empty(grpc.GenericRpcHandler):
    """Answers Decide with the same bytes every time."""

    def __init__(self, reply: bytes) -> None:
        self.answered = 0
        self._reply = reply
        self._handler = grpc.unary_unary_rpc_method_handler(
            self._answer,
            request_deserializer=decision_pb2.DecideRequest.FromString,
            response_serializer=None,
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The one method there is."""
        return self._handler if handler_call_details.method == METHOD else None

    async def _answer(self, _request: decision_pb2.DecideRequest, _context: object) -> bytes:
        self.answered += 1
        return self._reply


async def main(reply: bytes) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handler = Empty(reply)
    server = grpc.aio.server(options=(("grpc.so_reuseport", 1),))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"port": port}), flush=True)
    await stop.wait()
    await server.stop(1.0)
    print(json.dumps({"answered": handler.answered}), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Path(sys.argv[1]).read_bytes()))
