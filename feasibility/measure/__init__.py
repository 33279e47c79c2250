"""How is a model measured? In passes, from which a profile is built."""

from feasibility.called_package import make_callable

make_callable(__name__)
