"""Whether Python source parses; imports nothing of ours, so that the guarded child process starts quickly."""

import ast
import warnings


def fault(text: str) -> str:
    """Why `text` does not parse as Python, "" if it does. Says the kind and the line, nothing of the text; the user's
    invalid escapes warn of nothing here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except SyntaxError as error:
            return f"syntax error in line {error.lineno}" if error.lineno else "syntax error"
        except (RecursionError, MemoryError):
            return "nested too deeply"
        except ValueError:
            return "not text"
    return ""
