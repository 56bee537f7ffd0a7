"""Serves a gallery of plain lists in a process of its own: ``python service_process.py PORT``."""

import sys
import time

from anylead.service.app import make_app
from anylead.service.server import serve
from anylead.service.settings import ServiceSettings
from service_parts import FakeGallery, FakeKeys, make_bundle


class SlowGallery(FakeGallery):
    """Takes two seconds to draw its map."""

    def map(self):
        time.sleep(2)
        return super().map()


if __name__ == "__main__":
    settings = ServiceSettings(
        port=int(sys.argv[1]), upload_bytes=10**6, header_timeout_s=1.0, body_timeout_s=1.0
    )
    bundle = make_bundle()
    serve(make_app(SlowGallery(bundle), bundle, settings, keys=FakeKeys()), settings)
