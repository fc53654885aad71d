"""The avatar engine: a voice, a Linear Emotion Space vector and a portrait in, frames of a talking face out."""
