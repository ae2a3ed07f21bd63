"""fields.py -- answers against what a client reads of them: paths into JSON, and patterns such as `<string>` for values."""
import re
import time


def at(value, path):
    """The member at a path as `data.result.0.metric`; ... when there is none. `@service/name` is the value of that key in a list
    of attributes."""
    for part in path.split("."):
        try:
            if part.startswith("@"):
                value = next((a.get("value") for a in value if a["key"] == part[1:].replace("/", ".")), ...)
            else:
                value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return ...
    return value


def fits(value, want, names):
    """Whether a value is `want`: itself, a name such as `$from`, or one of the patterns."""
    if not isinstance(want, str) or not (want.startswith("<") or want.startswith("$")):
        return value == want
    if want.startswith("$"):
        return value == names[want]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    checks = {"<string>": lambda: isinstance(value, str), "<integer>": lambda: isinstance(value, int), "<number>": lambda: number,
              "<seconds>": lambda: number and abs(value - time.time()) < 10**6,
              "<ns>": lambda: isinstance(value, str) and value.isdigit() and len(value) == 19,
              "<ms>": lambda: isinstance(value, str) and value.isdigit() and len(value) == 13,
              "<ns below $row>": lambda: isinstance(value, str) and value.isdigit() and int(value) < int(names["$row"]),
              "<numeric>": lambda: isinstance(value, str) and float(value) >= 0, "<absent>": lambda: value is ...,
              "<hex 16>": lambda: isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value) is not None,
              "<hex 32>": lambda: isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None,
              "<list>": lambda: isinstance(value, list), "<list or null>": lambda: value is None or isinstance(value, list),
              "<object>": lambda: isinstance(value, dict),
              "<strings>": lambda: isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)}
    return checks[want]()
