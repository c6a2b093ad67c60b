"""digits with another client app: what is not here is found in the honest package."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
