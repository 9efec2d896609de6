"""The container images as OCI archives, built without a container engine and without an image registry.

The shipped Dockerfiles are built by buildah on a Debian base that mmdebstrap makes from the machine's own
package sources. An archive is named by the digest of all that went into it, so that what hasn't changed is
never built again:

    archive = build(["operator"])["operator"]
    cluster.load_image(archive.path)          # pods then refer to archive.reference, imagePullPolicy: Never
"""

from tests.images.builder import Archive, build
from tests.images.recipes import NAMES, ON_DEMAND
from tests.images.store import ImageError

__all__ = ["NAMES", "ON_DEMAND", "Archive", "ImageError", "build"]
