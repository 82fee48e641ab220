"""The numbers of the protocol: methods, options, operations of transactions, members of replies.

They are those of the published clients (`amazon-dax-client` for Python and JavaScript, `aws-dax-go`), which agree.
Every request is the service's number, a method's number and that method's arguments: complete CBOR values, one after
the other, with no length in front.
"""

from __future__ import annotations

from typing import Final

SERVICE: Final = 1
"""The only service there is."""

AUTHORIZE: Final = 1489122155
ENDPOINTS: Final = 455855874
KEY_SCHEMA: Final = -742646399
LIST_ID: Final = -1230579644
LIST: Final = 670678385
GET_ITEM: Final = 263244906
PUT_ITEM: Final = -2106490455
UPDATE_ITEM: Final = 1425579023
DELETE_ITEM: Final = 1013539361
QUERY: Final = -931250863
SCAN: Final = -1875390620
BATCH_GET: Final = -697851100
BATCH_WRITE: Final = 116217951
TRANSACT_GET: Final = 1866287579
TRANSACT_WRITE: Final = -1160037738

ARGUMENTS: Final[dict[int, int]] = {
    AUTHORIZE: 5,
    ENDPOINTS: 0,
    KEY_SCHEMA: 1,
    LIST_ID: 1,
    LIST: 1,
    GET_ITEM: 3,
    PUT_ITEM: 4,
    UPDATE_ITEM: 3,
    DELETE_ITEM: 3,
    QUERY: 3,
    SCAN: 2,
    BATCH_GET: 2,
    BATCH_WRITE: 2,
    TRANSACT_GET: 4,
    TRANSACT_WRITE: 9,
}
"""How many values follow a method's number."""

OTHERS: Final[dict[int, str]] = {
    785068263: "methods",
    -1016793520: "services",
    -313431286: "createTable",
    2120496185: "deleteTable",
    -819330193: "describeTable",
    383747477: "updateTable",
    1874119219: "listTables",
    -475661135: "describeLimits",
}
"""Methods that have a number and that no client of the data plane calls. How many arguments they have is not known."""

NAMES: Final[dict[int, str]] = {
    GET_ITEM: "GetItem",
    PUT_ITEM: "PutItem",
    UPDATE_ITEM: "UpdateItem",
    DELETE_ITEM: "DeleteItem",
    QUERY: "Query",
    SCAN: "Scan",
    BATCH_GET: "BatchGetItem",
    BATCH_WRITE: "BatchWriteItem",
    TRANSACT_GET: "TransactGetItems",
    TRANSACT_WRITE: "TransactWriteItems",
}
"""The operations of the API among the methods."""

# Options: the last argument of an operation is a map of them, or null. Names and values of expressions (1 and 5) are
# sent by one client and not by others, and are contained in the expressions.
PROJECTION: Final = 0
CONSISTENT: Final = 2
CAPACITY: Final = 3
CONDITION: Final = 4
COLLECTION_METRICS: Final = 6
RETURN_VALUES: Final = 7
UPDATE: Final = 8
START_KEY: Final = 9
FILTER: Final = 10
INDEX: Final = 11
KEY_CONDITION: Final = 12
LIMIT: Final = 13
FORWARD: Final = 14
SELECT: Final = 15
SEGMENT: Final = 16
TOTAL_SEGMENTS: Final = 17
TOKEN: Final = 19

CAPACITY_VALUES: Final = ("NONE", "TOTAL", "INDEXES")
COLLECTION_METRICS_VALUES: Final = ("NONE", "SIZE")
RETURN_VALUES_VALUES: Final = (None, "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
SELECT_VALUES: Final = (None, "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT", "SPECIFIC_ATTRIBUTES")
ALL_ATTRIBUTES: Final = 1

TRANSACT_PUT: Final = 2
TRANSACT_DELETE: Final = 7
TRANSACT_UPDATE: Final = 9
TRANSACT_CHECK: Final = 12
RETURN_ON_FAILURE: Final = {1: "NONE", 2: "ALL_OLD"}

# Members of replies.
ITEM: Final = 0
CONSUMED: Final = 1
ATTRIBUTES: Final = 2
METRICS: Final = 3
ITEMS: Final = 7
COUNT: Final = 8
LAST_KEY: Final = 9
SCANNED: Final = 10
