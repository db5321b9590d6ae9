"""How good a space is: retrieval, the distance of two sets of sounds, the doctor of an encoder."""
