"""Runs exported networks: one signature (names, shapes, dtypes) and one small interface over every backend."""

import engine.runtime.unreported  # noqa: F401  # before OpenVINO
from engine.runtime.network import Network, Signature, TensorSpec, initial_state, next_state
from engine.runtime.openvino import OpenVinoNetwork, graph_signature

__all__ = ["Network", "OpenVinoNetwork", "Signature", "TensorSpec", "graph_signature", "initial_state", "next_state"]
