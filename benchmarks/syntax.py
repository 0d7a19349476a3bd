"""The syntax tree of Python source, on Python 3.11 too."""

import ast
import gc


def parsed(source: str) -> ast.Module:
    """`ast.parse`, once more if it fails with "AST constructor recursion depth mismatch".

    CPython 3.11 counts the depth of all threads together, and formatting a traceback parses source lines, too: in another thread, or in a
    finalizer of the garbage collector (python/cpython#106905).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    except SystemError:
        return ast.parse(source)
    finally:
        if was_enabled:
            gc.enable()
