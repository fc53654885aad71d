"""`python -m trt_build export -o DIR`: every network as ONNX of opset 17, with hashes and signatures."""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trt_build", description="Graphs for GPUs and other runtimes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="every network as ONNX, with manifest.json")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    try:
        for name, entry in export_all(options.output).items():
            print(f"{name:<16}{entry['bytes'] / 1e6:7.2f} MB  {entry['sha256'][:16]}")
    except ImportError as error:
        print(f"trt_build: exporting needs torch and onnx ({error}): pip install 'les-avatar[train]'", file=sys.stderr)
        return 2
    return 0


def export_all(folder: Path) -> dict[str, Entry]:
    """Writes cdan.onnx, fields.onnx, renderer.onnx and manifest.json; returns the manifest."""
    from engine.cdan.training.export import load, write_graph  # torch, only here
    from engine.renderer.export import export_fields, export_renderer

    folder.mkdir(parents=True, exist_ok=True)
    write_graph(load(), folder / "cdan.onnx")
    export_fields(folder / "fields.onnx")
    export_renderer(folder / "renderer.onnx")
    manifest = {path.name: describe(path) for path in sorted(folder.glob("*.onnx"))}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def describe(path: Path) -> Entry:
    """A graph's hash, size and signature."""
    import onnx

    data = path.read_bytes()
    graph = onnx.load_from_string(data).graph
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "inputs": [_plain(value, onnx) for value in graph.input],
        "outputs": [_plain(value, onnx) for value in graph.output],
    }


def _plain(value: Any, onnx: Any) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return {"name": value.name, "shape": shape, "dtype": str(dtype)}


if __name__ == "__main__":
    sys.exit(main())
