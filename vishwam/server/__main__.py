"""`python -m vishwam.server --data FOLDER --port P`: the detached process that `local.start_or_reuse` starts."""

import argparse
import sys
from pathlib import Path

from vishwam.errors import BadInput
from vishwam.server.app import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="vishwam.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    try:
        serve(options.host, options.port, options.data)
    except BadInput as error:
        sys.exit(f"error: {error}")
