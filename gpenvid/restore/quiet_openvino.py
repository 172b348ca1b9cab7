"""OpenVINO without its telemetry. Import it from here.

`import openvino` reports itself over the network, in a process that it forks from a thread (and that may never end where other threads
hold locks). Where its telemetry package is not installed it does without, so that is how it is made to look.
"""

from __future__ import annotations

import sys

_TELEMETRY = "openvino_telemetry"

_found = _TELEMETRY in sys.modules
if not _found:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what `import` takes for a module that is not there
try:
    import openvino
    from openvino import Node, opset13
finally:
    if not _found:
        del sys.modules[_TELEMETRY]  # other code of this process may have its reasons

__all__ = ["Node", "openvino", "opset13"]
