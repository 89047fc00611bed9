"""Files, devices and signaling, by aiortc's names."""
