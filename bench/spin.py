"""Some seconds of an interpreter at many kinds of work: python3 spin.py SECONDS."""

import json
import re
import sys
import time
import zlib


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    fibonacci(14)
    json.loads(json.dumps({"a": list(range(60))}))
    re.sub("a|b", "c", "abc" * 30)
    zlib.compress(b"xyz" * 500)
    sorted(range(500), key=lambda n: -n)
