"""Names the interpreter that measures."""

import platform

print(platform.python_implementation(), platform.python_version(), platform.python_compiler())
