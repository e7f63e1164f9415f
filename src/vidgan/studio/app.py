"""The studio: its pages on Gradio, behind what guards them, on a port of this machine."""

import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.studio import data, evaluate, explore, train
from vidgan.studio.access import LARGEST_UPLOAD, Access, Guard
from vidgan.studio.jobs import Jobs
from vidgan.studio.served import Served

Page = Callable[[Served, Jobs], None]
PAGES: Final[Mapping[str, tuple[str, Page]]] = {
    "": ("Explore", explore.page),
    "train": ("Train", train.page),
    "data": ("Data", data.page),
    "evaluate": ("Evaluate", evaluate.page),
}
"""by their addresses"""
AT_ONCE: Final = 8
"""answers of one kind that are made at once; others wait"""
GRACE: Final = 3.0
"""seconds after a signal for answers that are being made"""
QUIET: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""environment in which Gradio and what it stands on tell nobody that they run"""
FONT: Final = ("system-ui", "sans-serif")
MONO: Final = ("ui-monospace", "monospace")
"""fonts of the reader's own machine: nothing is loaded for them"""
READABLE: Final = {
    f"{name}{dark}": f"*neutral_{shade}"
    for name in (
        "body_text_color_subdued",
        "block_label_text_color",
        "block_title_text_color",
        "block_info_text_color",
    )
    for dark, shade in (("", 700), ("_dark", 200))
} | {f"button_primary_background_fill{more}": "*primary_700" for more in ("", "_dark")}
"""colours of text with more contrast than Gradio's own: at least 4.5 to 1 (WCAG 2, 1.4.3)"""


def serve(served: Served, access: Access) -> None:
    """Listen until a signal comes.

    Raises:
        UserError: if others could get in without a token, the port is taken, or Gradio is missing.
    """
    access.check()
    folders = [tempfile.TemporaryDirectory(prefix=f"vidgan-studio-{use}-") for use in ("uploads", "jobs")]
    with folders[0] as folder, folders[1] as said:
        os.environ.update(QUIET)
        os.environ["GRADIO_TEMP_DIR"] = folder
        warnings.showwarning = say_warning
        try:
            import uvicorn

            app = application(served, access, Jobs(Path(said)), Path(folder))
        except ImportError as error:
            raise UserError(f"the studio needs Gradio: pip install 'vidgan[studio]' ({error})") from None
        with listening(access) as place:
            host = f"[{access.host}]" if ":" in access.host else access.host
            tell(f"vidgan studio: http://{host}:{place.getsockname()[1]}/ (Ctrl-C ends)", flush=True)
            # No line for a request, which would tell who looks at what.
            quiet = {"access_log": False, "log_level": "critical", "timeout_graceful_shutdown": 1}
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            server = uvicorn.Server(uvicorn.Config(app, lifespan="on", **quiet))
            threading.Thread(target=end_with, args=(server, folders), daemon=True).start()
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[place])


class Ending(Protocol):
    """What a signal tells to end: uvicorn's server."""

    should_exit: bool


def end_with(
    server: Ending, folders: Sequence[tempfile.TemporaryDirectory[str]], seconds: float = GRACE
) -> None:
    """End this process some seconds after the server has been told to end, and remove ``folders``.

    The server ends by itself where nothing is being made. What is, such as clips or standing statistics, may take
    minutes, and a thread cannot be stopped.
    """
    while not server.should_exit:
        time.sleep(0.1)
    time.sleep(seconds)
    for folder in folders:
        folder.cleanup()
    os._exit(0)


def say_warning(message: Warning | str, *_: object, **__: object) -> None:
    """A warning as a line for who started the studio, without the place in the source that Python names."""
    tell(f"vidgan studio: {(str(message).splitlines() or [''])[0]}", to=sys.stderr)


def listening(access: Access) -> socket.socket:
    """A socket at the host and port; raises :class:`UserError` where that is not to be had."""
    try:
        family = socket.getaddrinfo(access.host, access.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((access.host, access.port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot listen at {access.host}, port {access.port}: {error.strerror}; choose another --port"
        ) from None


def application(served: Served, access: Access, jobs: Jobs, uploads: Path) -> Guard:
    """The ASGI application.

    Args:
        uploads: folder for files that users upload, as the environment variable ``GRADIO_TEMP_DIR`` has to say.
    """
    import fastapi
    import gradio

    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    theme = gradio.themes.Default(font=list(FONT), font_mono=list(MONO)).set(**READABLE)
    home = blocks_of(served, jobs)
    warnings.filterwarnings("ignore", "SSR mode")  # which is off
    gradio.mount_gradio_app(
        app,
        home,
        "/",
        footer_links=[],
        allowed_paths=[],
        max_file_size=LARGEST_UPLOAD,
        show_error=True,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme,
        css=css(),
    )
    return Guard(app, access, tuple(f"/{address}".rstrip("/") for address in PAGES), uploads)


def blocks_of(served: Served, jobs: Jobs) -> Any:
    """Gradio's description of all pages."""
    import gradio

    hourly = 3600
    with gradio.Blocks(
        title="vidgan studio", analytics_enabled=False, delete_cache=(hourly, hourly), fill_width=True
    ) as blocks:
        gradio.Navbar(main_page_name=PAGES[""][0])
        PAGES[""][1](served, jobs)
    for address, (name, build) in PAGES.items():
        if address:
            with blocks.route(name, address):
                gradio.Navbar(main_page_name=PAGES[""][0])
                build(served, jobs)
    return blocks.queue(default_concurrency_limit=AT_ONCE, max_size=64, api_open=False)


def css() -> str:
    """The style sheet: that of charts is the report's."""
    from vidgan.report.page import environment

    charts = environment().get_template("chart.css").render()
    return charts + Path(__file__).with_name("style.css").read_text(encoding="utf-8")
