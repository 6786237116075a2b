"""``python cli.py demo``: serves the page of a trained model on this computer."""

import argparse
import ipaddress
import os
import socket
import tempfile
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from PIL import Image
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from common.errors import DataError
from common.image_reader import FORMATS
from demo import page
from inference import load
from inference.loading import add_checkpoint_options, chosen_checkpoint

MOST_BYTES = "25mb"  # of a file
KEPT = 3600  # seconds that uploads and pictures are kept
WAITING = 100  # uploads; those beyond are told to come again
THEME = gr.themes.Base(font=["system-ui"], font_mono=["monospace"])  # others fetch their fonts


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``demo``."""
    add_checkpoint_options(parser, default="best")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="the first free one from 7860 by default")


def run(options: argparse.Namespace) -> None:
    """Serve the page until it is stopped; see `serve`."""
    _check_address(options.host, options.port or 0)
    model = load(chosen_checkpoint(options))
    if not model.trained.method:
        raise DataError(f"{options.ckpt_path}: an exported model; give the run folder in its place")
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        serve(model, folder, server_name=options.host, server_port=options.port)


def _check_address(host: str, port: int) -> None:
    """Refuse what Gradio would try for a minute; DataError."""
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        raise DataError(f"--host {host} --port {port or 7860}: {error}; give others") from None


async def _refuse_address(url: str, cache_dir: str) -> str:
    """Takes the place of Gradio's download of a file that is given as an address."""
    raise gr.Error(f"{url}: an address; give a file")


def serve(model: Any, folder: str, **options: Any) -> gr.Blocks:
    """Launch the page of a model, its files in ``folder``."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # Gradio asks its own page whether it is there, and nothing else
    gr.routes.DEFAULT_TEMP_DIR = folder  # else Gradio makes an empty folder beside it
    Image.init()
    Image.ID[:] = FORMATS  # Gradio opens templates itself, and an EPS would start Ghostscript
    Image.MAX_IMAGE_PIXELS = page.MOST_PIXELS // 2  # Pillow warns above it, and refuses twice of it
    blocks = page.build(model).queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    blocks.delete_cache = (KEPT // 4, KEPT)
    gr.processing_utils.async_ssrf_protected_download = _refuse_address
    options |= {"share": False, "ssr_mode": False, "footer_links": [], "run_history": False}
    options["app_kwargs"] = {"middleware": [Middleware(OwnRequests)]}
    blocks.launch(theme=THEME, css=page.CSS, max_file_size=MOST_BYTES, **options)
    return blocks


class OwnRequests:
    """ASGI middleware that answers 403 to a foreign ``Host`` or ``Origin``.

    A website whose name resolves to this computer (DNS rebinding) has its own name as ``Host``; one
    that posts here has its own address as ``Origin``.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {k: v.decode("latin-1") for k, v in scope["headers"]}
            host, origin = headers.get(b"host", ""), headers.get(b"origin")
            if not is_own(host) or (origin is not None and urlsplit(origin).netloc != host):
                refusal = PlainTextResponse("another website's request", status_code=403)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def is_own(host: str) -> bool:
    """Whether ``host`` (with or without a port) is an IP address or a name of this computer."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        names = ("localhost", socket.gethostname().lower(), socket.getfqdn().lower())
        return name in names or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
