"""Measures the avatar as a viewer sees it: unseen voices in, landmarks read off the rendered video out.

`python -m engine.evaluation.speech -o DIR` writes tables and plots. Needs the extra `train`, and mediapipe and
matplotlib for pictures; `--quick` reads the face model's own landmarks and needs neither.
"""
