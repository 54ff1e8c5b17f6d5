"""Calls a function of a user's Python file. Argument: FILE:FUNCTION. Value: the list of its arguments."""
import importlib.util
import os
import sys


def load(argument):
    path, _, name = argument.rpartition(":")
    module = import_file(os.path.abspath(path))
    function = getattr(module, name, None)
    if not callable(function):
        raise LookupError(f"{path} has no function {name}")
    return lambda arguments: function(*arguments)


def import_file(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}")
    name = "treepo_user_" + "".join(c if c.isalnum() else "_" for c in path)
    if name not in sys.modules:
        folder = os.path.dirname(path)
        if folder not in sys.path:
            sys.path.insert(0, folder)  # its own imports
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
