"""Makes CDAN's weights: corpus, articulation, composition, training, export, evaluation. Needs the extra `train`."""
