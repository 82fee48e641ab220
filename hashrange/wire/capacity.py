"""What routers and the control plane tell each other about capacity: consumption one way, tokens the other.

Every router reports, about once a second and while there is traffic, what its requests consumed of each table and
global index, and how much it could have used. The vendor, at the control plane's leader, answers with what the
router may consume next. All amounts are half units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    """To the control plane's leader; it answers with an `Answer`.

    `router` names the reporting process for as long as it runs. `number` counts its reports. A report that was not
    answered is sent again with the same number; what it says may have grown meanwhile (`used`, `refused`), and
    only the answer to the last sending counts.
    """

    router: str
    number: int
    needs: list[CapacityNeed]


Answer = dict[str, Any]
"""{"grants": [Grant], "valid_ms": n, "period_ms": n}, as JSON on the wire.

`period_ms`: when the next report is due while there is traffic. `valid_ms`: how long the grants hold. A grant is for
one table ("index": "") or global index, and has for reads and for writes apart:

    {"table": str, "index": str,
     "read": int, "write": int,                 add this to the balance (half units; negative: taken back)
     "read_rate": float, "write_rate": float,   half units a second that flow into the balance from now on
     "read_limit": str, "write_limit": str}     what a refusal gives as reason (`hashrange.model.throttling.Limit`)

    balance += amount; ceiling = max(balance, 1 s of the rate)       when the answer arrives
    balance = min(ceiling, balance + rate * seconds)                 as time goes on
    ceiling = 1 s of the rate                                        once `valid_ms` have passed without another

So what was put aside goes when it is not renewed, while the last rate stays for as long as the vendor is away. What
a bucket takes in that way shows in `left` of the next report. A table or index that is not in the answer is not
known to the vendor (yet): its bucket is left as it is.
"""
