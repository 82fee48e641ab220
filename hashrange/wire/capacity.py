"""What routers and the control plane tell each other about capacity: consumption one way, tokens the other.

Every router reports, about once a second and while there is traffic, what its requests consumed of each table and
global index, and how much it could have used. The vendor, at the control plane's leader, answers with what the
router may consume next. All amounts are half units.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CapacityNeed:
    """One table (`index` "") or global index, as a router saw it since its last report.

    `used`: consumed by admitted requests. `left`: the balance of the router's bucket now (negative: a debt).
    `refused`: requests throttled for want of tokens, as an estimate of their half units.
    """

    table: str
    index: str
    read_used: int
    write_used: int
    read_left: int
    write_left: int
    read_refused: int
    write_refused: int


@dataclass(slots=True)
class CapacityReport:
    """To the control plane's leader. Answer: JSON {"grants": [...], "valid_ms": n} (the vendor says what is in it).

    `router` names the reporting process for as long as it runs. `number` counts its reports; a report that is sent
    again has the same number.
    """

    router: str
    number: int
    needs: list[CapacityNeed]
