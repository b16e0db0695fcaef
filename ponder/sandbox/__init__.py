"""The sandbox: run a program nobody trusts, and learn only what it printed, what it returned and how it ended.

    caller (verify.code)  --requests and file descriptors-->  zygote  --clone-->  one process per program

The zygote is a small single-threaded interpreter that lives in a read-only view of the machine and holds no secrets.
For each program it clones itself into new user, mount, pid, network, ipc and uts namespaces and gives up everything
else: capabilities, system calls, memory, processor time. Expected results never enter such a process: tests run in
another one, which calls the program through a channel of plain values (`judge`, `remote`, `values`).

Nothing here imports a library outside the standard one: these modules are what untrusted code starts in.
"""

__all__: list[str] = []
