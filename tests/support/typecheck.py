"""The checker that executes the annotations of the library while the tests run."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

# As PEP 484 has it, an int is welcome where a float is asked for.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
