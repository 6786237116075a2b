"""A page in the browser on which a trained model is tried."""

from importlib.util import find_spec

from common.errors import DataError

if find_spec("gradio") is None:
    raise DataError("gradio is missing; pip install -e '.[demo]'")
