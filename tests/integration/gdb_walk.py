"""Run inside gdb: for each process id read from stdin, attach, walk every thread's stack to
its start, detach, and print one line: WALK and {thread: [[pc, function, is_signal], ...]}."""

import json
import sys

import gdb  # type: ignore[import-not-found]


def walk(frame):
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            yield frame.pc(), frame.name() or "", frame.type() == gdb.SIGTRAMP_FRAME
        try:
            frame = frame.older()
        except gdb.error:
            return


for line in sys.stdin:
    gdb.execute(f"attach {int(line)}", to_string=True)
    stacks = {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        stacks[thread.ptid[1]] = list(walk(gdb.newest_frame()))
    gdb.execute("detach", to_string=True)
    print("WALK", json.dumps(stacks), flush=True)
