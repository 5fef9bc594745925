"""Stories of faults, each a folder that a person can read: what must hold, what happens, and what was seen."""
