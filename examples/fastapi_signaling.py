"""Signaling inside a FastAPI program, which says itself who may enter, and a page that calls everybody in its room.

pip install 'icelane[server]' fastapi
uvicorn fastapi_signaling:app      then open http://127.0.0.1:8000/#ann in one window and .../#bob in another
"""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from icelane import web
from icelane.crypto.provider import SystemEntropy
from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
from icelane.signaling.admission.request import Allow, ConnectRequest, Deny
from icelane.signaling.app import signaling_app


async def before_connect(request: ConnectRequest) -> Allow | Deny:
    if request.token not in ("ann", "bob"):  # ask your sessions, your database
        return Deny(code="unknown", reason="only ann and bob are known here")
    return Allow(identity=request.token, rooms=("demo",))


origins = (os.environ.get("ORIGIN", "http://127.0.0.1:8000"),)
admission = AdmissionSettings(allowed_origins=origins, hooks=AdmissionHooks(before_connect=before_connect))
app = FastAPI()
app.mount("/rtc", signaling_app(AdmissionControl(admission, entropy=SystemEntropy())))  # ws://.../rtc/v1/signal
app.mount("/icelane", StaticFiles(directory=web.FOLDER))
app.mount("/", StaticFiles(directory=Path(__file__).with_name("browser_call"), html=True))
