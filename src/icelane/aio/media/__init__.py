"""Where tracks come from and where they go: files and devices, other readers, nowhere, and pictures made here.

Needs PyAV: `pip install 'icelane[media]'`.
"""
