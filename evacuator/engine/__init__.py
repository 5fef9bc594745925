"""One verb per file. Every write to an instance or an evacuation goes through here, whoever asks for it."""
