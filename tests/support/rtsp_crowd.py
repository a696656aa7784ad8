"""Many players in one process, which read and forget: `python -m support.rtsp_crowd PORT NUMBER`.

Says `ready` when all of them have got something; ends with its standard input.
"""

import selectors
import sys
import time

from support.rtsp_player import Player

_REST_S = 0.01
"""Between two looks: whoever reads each packet as it comes takes more of the processor than all that is measured."""


def main() -> None:
    port, number = map(int, sys.argv[1:])
    players = [Player(port) for _ in range(number)]
    for player in players:
        player.play()
        player.packet()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for player in players:
            selector.register(player.socket, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            time.sleep(_REST_S)


if __name__ == "__main__":
    main()
