"""The main job, shown on real traffic: `python -m demo` relays through our server and proves what arrived."""
