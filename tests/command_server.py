"""The other side of `tests.command`: a process that has loaded what a `ponder` command loads, and forks for each.

    request   words, program, environment, folder, session | the descriptors of its stdin, stdout, stderr, and of a pipe
    answer    in that pipe: the command's process id, and its exit status once it has ended

Nothing is computed here before a fork, so that a command has the threads and the memory of a fresh one. It ends when
the socket to the tests closes.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback

import ponder.cli
import ponder.evaluation.command
import ponder.export.command
import ponder.pipeline.plan
import ponder.pipeline.run
import ponder.pipeline.sweep
import ponder.report.show
import ponder.rollout.command
import ponder.stages.evaluate
import ponder.stages.pretrain
import ponder.stages.reward_model
import ponder.stages.rl
import ponder.stages.sample
import ponder.stages.sft


def run(words: list[str], program: str | None) -> int:
    """A command from its words, or a program with these arguments; the status that it ends with."""
    sys.argv = ["ponder", *words]
    try:
        if program is None:
            ponder.cli.main()
        else:
            exec(program, {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def begin(request: dict[str, object], streams: list[int], answers: int) -> None:
    """In the fork: become the command, and never come back."""
    status = 1
    try:
        if request["session"]:
            os.setsid()
        os.write(answers, b"%d\n" % os.getpid())
        os.close(answers)
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
            os.close(stream)
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115  for good
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        os.chdir(str(request["folder"]))
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run(request["words"], request["program"])  # type: ignore[arg-type]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main(tests: socket.socket) -> None:
    under_way: dict[int, int] = {}  # process id -> the pipe that waits for its status
    ended, wake = socket.socketpair()
    for one in (ended, wake):
        one.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    selector = selectors.DefaultSelector()
    selector.register(tests, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    gc.collect()
    gc.freeze()
    while True:
        for key, _ in selector.select():
            if key.fileobj is ended:
                ended.recv(4096)
                continue
            message, descriptors, _, _ = socket.recv_fds(tests, 1 << 20, 4)
            if not message:
                return
            *streams, answers = descriptors
            pid = os.fork()
            if pid == 0:
                for one in (tests, ended, wake, selector):
                    one.close()
                for other in under_way.values():
                    os.close(other)
                begin(json.loads(message), streams, answers)
            for stream in streams:
                os.close(stream)
            under_way[pid] = answers
        while under_way and (found := os.waitpid(-1, os.WNOHANG))[0]:
            pipe = under_way.pop(found[0])
            os.write(pipe, b"%d\n" % os.waitstatus_to_exitcode(found[1]))
            os.close(pipe)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
