"""The physics behind the synthetic source: heart dipole, rhythm, torso, noise."""
