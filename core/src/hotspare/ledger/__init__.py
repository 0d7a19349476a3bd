"""The ledger: every attempt and every call in an SQLite file.

::

    ledger = Ledger("hotspare.db").attach(pool)
    ...
    ledger.close()

`hotspare ledger` and `hotspare report` read it.
"""

from hotspare.ledger.schema import default_path as default_path
from hotspare.ledger.writer import Ledger as Ledger
