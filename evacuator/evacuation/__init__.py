"""What an evacuation is: states, transitions and decisions. No I/O, no clock and no log in here."""
