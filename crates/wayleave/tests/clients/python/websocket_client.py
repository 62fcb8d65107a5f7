"""Both ends of a WebSocket through Wayleave, by the `websockets` library.

    websocket_client.py serve            prints its port, and answers until it is ended
    websocket_client.py call URL TOKEN   talks to it through the gateway
"""

import sys

from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve


def answer(connection):
    if connection.request.headers.get("Wayleave-Environment") != "live":
        connection.close(4001, "nobody vouches for this")
        return
    for message in connection:
        if message == "close":
            connection.close(4000, "as asked")
            return
        connection.send(message)


def run_server():
    choose = lambda connection, offered: "chat" if "chat" in offered else None
    with serve(answer, "127.0.0.1", 0, select_subprotocol=choose, max_size=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


def check(what, holds):
    if not holds:
        sys.exit(f"failed: {what}")
    print(f"ok {what}")


def call(url, token):
    proof = {"Authorization": f"Bearer {token}"}
    with connect(
        url, additional_headers=proof, subprotocols=["chat"], max_size=None
    ) as socket:
        check("a subprotocol is agreed on", socket.subprotocol == "chat")
        check("the switch has a request id", "request-id" in socket.response.headers)
        socket.send("grüße")
        check("text comes back", socket.recv() == "grüße")
        large = bytes(range(256)) * 8192
        socket.send(large)
        check("two megabytes come back", socket.recv() == large)
        socket.send(["in ", "pieces"])
        check("a message in pieces comes back", socket.recv() == "in pieces")
        check("a ping is answered", socket.ping().wait(20))
        for number in range(500):
            socket.send(str(number))
            if socket.recv() != str(number):
                sys.exit(f"failed: message {number}")
        print("ok five hundred messages come back in their order")
        socket.send("close")
        try:
            socket.recv()
            check("it is closed", False)
        except ConnectionClosedOK:
            check("it is closed", False)
        except Exception:
            check("the code of the end comes through", socket.close_code == 4000)
            check("and its reason", socket.close_reason == "as asked")
    try:
        connect(url)
        check("without a proof there is no socket", False)
    except InvalidStatus as refused:
        check("without a proof there is no socket", refused.response.status_code == 401)


if sys.argv[1] == "serve":
    run_server()
else:
    call(sys.argv[2], sys.argv[3])
