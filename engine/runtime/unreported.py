"""Nothing is told to OpenVINO's maker: its Python package, as it comes, reports every import over the network.

Importing this first makes it do without what reports; it has a stand-in for machines where that is not installed.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it fails from now on
