"""The scenes of the patterns: each a function of a stage, its name the sentence that must hold."""
