"""The worker process of treepo (src/base/python_workers.h): one JSON line in, one JSON line out.

    {"load": "NAME[:ARGUMENT]"}                   -> {"value": null}      imports the handler
    {"handler": "NAME[:ARGUMENT]", "value": ...}  -> {"value": RESULT}    calls it
                                        on failure: {"error": MESSAGE, "hint": WHAT TO DO}

Handler NAME is the module handler_NAME. Its load(argument) returns the function that takes each value;
its PACKAGES maps what it imports to what pip installs.
"""
import json
import os
import sys
import traceback
import types


class Worker:
    def __init__(self, sources):
        self.sources = sources  # of the handlers' modules, by name
        self.functions = {}  # loaded handlers, by "NAME[:ARGUMENT]"

    def answer(self, request):
        try:
            if "load" in request:
                self.load(request["load"])
                return encode({"value": None})
            function = self.functions.get(request["handler"]) or self.load(request["handler"])
            return encode({"value": function(request["value"])})
        except BaseException as error:  # SystemExit of user code too
            return encode({"error": describe(error), "hint": getattr(error, "hint", "")})

    def load(self, handler):
        name, _, argument = handler.partition(":")
        module = self.module("handler_" + name)
        try:
            function = module.load(argument)
        except ModuleNotFoundError as error:
            raise with_hint(error, getattr(module, "PACKAGES", {}))
        self.functions[handler] = function
        return function

    def module(self, name):
        if name not in sys.modules:
            module = types.ModuleType(name)
            exec(compile(self.sources[name], name + ".py", "exec"), module.__dict__)
            sys.modules[name] = module
        return sys.modules[name]


def encode(reply):
    try:
        text = json.dumps(reply, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"error": f"the result can't be written as JSON: {describe(error)}", "hint": ""})
    return text.encode("utf-8", "replace") + b"\n"


def with_hint(error, packages):
    package = packages.get((error.name or "").split(".")[0])
    if package is None:
        return error
    missing = ModuleNotFoundError(f"{sys.executable} has no package {error.name}")
    missing.hint = f"run scripts/bootstrap --workers, or: {sys.executable} -m pip install '{package}'"
    return missing


def describe(error):
    """ "ValueError: no number (rewards.py, line 12, in score)": the place is the innermost one in a file."""
    name = type(error).__name__
    text = f"{name}: {error}" if str(error) else name
    if isinstance(error, ModuleNotFoundError) and hasattr(error, "hint"):
        return str(error)
    places = [f for f in traceback.extract_tb(error.__traceback__) if os.path.isabs(f.filename)]
    if not places:
        return text
    return f"{text} ({places[-1].filename}, line {places[-1].lineno}, in {places[-1].name})"


def die_with_parent(parent):
    import ctypes  # Linux: PR_SET_PDEATHSIG is 1, SIGKILL 9

    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != parent:
        os._exit(1)


def limit_memory(mib):
    try:  # the first to go when the machine runs out of memory
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass
    if mib:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = mib << 20
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def main():
    # The protocol gets descriptors of its own, which children do not inherit; what handlers print goes to stderr.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.path[:] = [path for path in sys.path if path]  # not whatever lies in the working directory
    setup = json.loads(requests.readline())
    die_with_parent(setup["parent"])
    limit_memory(setup["memory_mib"])
    worker = Worker(setup["modules"])
    reply = encode({"value": "ready"})
    while True:
        replies.write(reply)
        replies.flush()
        line = requests.readline()
        if not line:
            os._exit(0)
        reply = worker.answer(json.loads(line))


main()
