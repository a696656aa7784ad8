"""The application: guard, paths, errors; made of a workshop."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI

import vsr
from vsr.live import LiveOptions
from vsr.web.bell import Bell
from vsr.web.cameras.camera_api import camera_router
from vsr.web.cameras.camera_process import CameraProcess
from vsr.web.guard import Guard
from vsr.web.job_api import job_router
from vsr.web.look_api import look_router
from vsr.web.model_api import model_router
from vsr.web.page_api import page_router
from vsr.web.problems import answer_with_problems
from vsr.web.site_api import site_router
from vsr.web.tokens import Tokens
from vsr.web.tus import tus_router
from vsr.web.upscale_api import upscale_router
from vsr.web.workshop import Workshop

_ABOUT = (
    "Uploads, previews and jobs of vsr. Errors are problems (RFC 9457), whose `detail` is one line. Where the server"
    " wants a token, it comes as `Authorization: Bearer TOKEN`."
)


def make_app(
    workshop: Workshop,
    tokens: Tokens,
    cameras: LiveOptions | None = None,
    camera_process: CameraProcess | None = None,
) -> Guard:
    """Make the application that a server runs, with its cameras and what runs these, as `camera_router` takes them."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        workshop.open(Bell())
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(workshop.close)

    app = FastAPI(
        title="vsr web",
        version=vsr.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    answer_with_problems(app)
    for router in (
        tus_router(workshop.uploads, workshop.options.max_bytes),
        look_router(workshop),
        model_router(workshop),
        job_router(workshop),
        upscale_router(workshop),
        camera_router(cameras, camera_process),
        site_router(app, workshop, tokens),
        page_router(vsr.__version__),
    ):
        app.include_router(router)
    return Guard(app, tokens, workshop.options)
