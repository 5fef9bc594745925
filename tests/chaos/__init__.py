"""Real processes on real servers, clients that evacuate all the time, and everything that can go wrong, with a seed."""
