"""The table definition as the hot path reads it: an immutable schema compiled from a table document.

Router and node keep one `TableSchema` per table and replace it when the catalogue has a newer generation.
Compiling costs some tens of microseconds and happens once per change; what is read per request (key codecs,
names, the partition of a hash) is an attribute or one bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Literal

from hashrange.errors import ApiError, validation
from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.regions import ReplicaTarget, own_number, targets
from hashrange.model.table_arn import index_arn
from hashrange.model.table_document import ACTIVE, DELETING, TableDocument, key_names, table_status
from hashrange.model.value import Item

IndexKind = Literal["LSI", "GSI"]
ProjectionKind = Literal["ALL", "KEYS_ONLY", "INCLUDE"]


@dataclass(frozen=True, slots=True)
class Partition:
    """One hash range of a table or of a global secondary index: hashes `lo` to `hi`, both included."""

    id: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of a table or of a global secondary index, ascending and without a gap."""

    all: tuple[Partition, ...]
    _bounds: tuple[bytes, ...] = field(repr=False)
    _single: Partition | None = field(repr=False)

    @classmethod
    def from_document(cls, entries: list[dict[str, int]]) -> Partitions:
        """Compile the `Partitions` of a document."""
        partitions = tuple(Partition(entry["id"], entry["lo"], entry["hi"]) for entry in entries)
        bounds = tuple(partition.lo.to_bytes(8, "big") for partition in partitions)
        return cls(partitions, bounds, partitions[0] if len(partitions) == 1 else None)

    def of(self, hash8: bytes) -> Partition:
        """The partition that owns a hash, given as its 8 bytes (big-endian, so bytes order as hashes do).

        Longer input is accepted: an encoded key starts with its hash.
        """
        if self._single is not None:
            return self._single
        return self.all[bisect_right(self._bounds, hash8[:8]) - 1]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The stream that a table writes."""

    arn: str
    label: str
    view_type: str


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """A secondary index.

    `codec` gives the key of an entry: the index key, then the whole table key, so that entries of items
    with the same index key are distinct and ordered by table key. An LSI's key starts with the table's hash
    key: its entries lie in the partition of their item, and `partitions` is that of the table; a GSI has
    partitions of its own.
    """

    name: str
    kind: IndexKind
    arn: str
    codec: KeyCodec
    key_names: tuple[str, ...]
    """The index key: hash attributes, then range attributes; without the table key."""
    hash_names: tuple[str, ...]
    range_names: tuple[str, ...]
    projection: ProjectionKind
    projected: frozenset[str] | None
    """What an entry holds, all keys included; None for ALL."""
    status: str
    partitions: Partitions

    @property
    def readable(self) -> bool:
        """Whether queries are answered from it: an index being made or removed is not."""
        return self.status == ACTIVE

    @property
    def maintained(self) -> bool:
        """Whether writes keep it up to date: every index but one being removed, also one being filled."""
        return self.status != DELETING

    def project(self, item: Item) -> Item:
        """The attributes of `item` that an entry holds. With ALL it is `item` itself, not a copy."""
        projected = self.projected
        if projected is None:
            return item
        return {name: item[name] for name in projected if name in item}


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table as the hot path reads it."""

    name: str
    table_id: str
    arn: str
    generation: int
    status: str
    codec: KeyCodec
    key_names: tuple[str, ...]
    """The table key: the hash attribute, then the range attribute if there is one."""
    attribute_types: dict[str, str]
    """Type (S, N or B) of every attribute that is part of some key."""
    billing_mode: str
    provisioned: tuple[int, int]
    """Read and write capacity units; zeros on demand."""
    lsis: tuple[IndexSchema, ...]
    gsis: tuple[IndexSchema, ...]
    ttl_attribute: str | None
    stream: StreamSettings | None
    deletion_protection: bool
    partitions: Partitions
    _indexes: dict[str, IndexSchema] = field(repr=False)
    region: int = 0
    """Number of this region if the table is a global one, else 0."""
    replicas: tuple[ReplicaTarget, ...] = ()
    """The other regions that changes are sent to."""
    replica_bits: int = 0
    """What the mark of a changed item has: the bits of all of them."""

    @classmethod
    def from_document(cls, document: TableDocument) -> TableSchema:
        """Compile a table document."""
        types = {d["AttributeName"]: d["AttributeType"] for d in document["AttributeDefinitions"]}
        codec = _codec(document["KeySchema"], types, None)
        table_keys = tuple(key_names(document["KeySchema"]))
        partitions = Partitions.from_document(document["Partitions"])
        throughput = document["Throughput"]
        replicas = targets(document)
        builder = _IndexBuilder(document["TableArn"], table_keys, types, codec)
        lsis = tuple(
            builder.build(index, "LSI", document["Status"], partitions)
            for index in document["LocalSecondaryIndexes"]
        )
        gsis = tuple(
            builder.build(index, "GSI", index["Status"], Partitions.from_document(index["Partitions"]))
            for index in document["GlobalSecondaryIndexes"]
        )
        return cls(
            name=document["TableName"],
            table_id=document["TableId"],
            arn=document["TableArn"],
            generation=document["Generation"],
            status=table_status(document),
            codec=codec,
            key_names=table_keys,
            attribute_types=types,
            billing_mode=document["BillingMode"],
            provisioned=(throughput["Read"], throughput["Write"]),
            lsis=lsis,
            gsis=gsis,
            ttl_attribute=document["TimeToLive"].get("AttributeName"),
            stream=_stream(document),
            deletion_protection=document["DeletionProtectionEnabled"],
            partitions=partitions,
            _indexes={index.name: index for index in (*lsis, *gsis)},
            region=own_number(document),
            replicas=replicas,
            replica_bits=sum(replica.bit for replica in replicas),
        )

    def index(self, name: str) -> IndexSchema:
        """The index `name`; ValidationException when the table has none of that name."""
        try:
            return self._indexes[name]
        except KeyError:
            raise index_not_found(name) from None

    def partition_for(self, hash8: bytes) -> Partition:
        """The partition that owns the items whose encoded key starts with these 8 bytes."""
        return self.partitions.of(hash8)

    @property
    def indexes(self) -> tuple[IndexSchema, ...]:
        """All indexes, local ones first."""
        return self.lsis + self.gsis


def index_not_found(name: str) -> ApiError:
    """What Query and Scan answer for an index that the table does not have."""
    return validation(f"The table does not have the specified index: {name}")


class _IndexBuilder:
    """Compiles the indexes of one table: what they share is given once."""

    def __init__(
        self, table_arn: str, table_keys: tuple[str, ...], types: dict[str, str], table_codec: KeyCodec
    ) -> None:
        self._table_arn = table_arn
        self._table_keys = table_keys
        self._types = types
        self._table_codec = table_codec

    def build(
        self, index: dict[str, Any], kind: IndexKind, status: str, partitions: Partitions
    ) -> IndexSchema:
        names = tuple(key_names(index["KeySchema"]))
        hash_count = sum(element["KeyType"] == "HASH" for element in index["KeySchema"])
        projection = index["Projection"]
        projection_kind: ProjectionKind = projection["ProjectionType"]
        projected: frozenset[str] | None = None
        if projection_kind != "ALL":
            projected = frozenset((*names, *self._table_keys, *projection.get("NonKeyAttributes", ())))
        return IndexSchema(
            name=index["IndexName"],
            kind=kind,
            arn=index_arn(self._table_arn, index["IndexName"]),
            codec=_codec(index["KeySchema"], self._types, self._table_codec),
            key_names=names,
            hash_names=names[:hash_count],
            range_names=names[hash_count:],
            projection=projection_kind,
            projected=projected,
            status=status,
            partitions=partitions,
        )


def _codec(key_schema: list[dict[str, str]], types: dict[str, str], suffix: KeyCodec | None) -> KeyCodec:
    """The codec of a KeySchema: hash parts, range parts, then the table key of an index entry."""
    parts: dict[str, list[KeyPart]] = {"HASH": [], "RANGE": []}
    for element in key_schema:
        name = element["AttributeName"]
        parts[element["KeyType"]].append(KeyPart(name, types[name]))  # type: ignore[arg-type]
    return KeyCodec(tuple(parts["HASH"]), tuple(parts["RANGE"]), suffix)


def _stream(document: TableDocument) -> StreamSettings | None:
    settings = document.get("StreamSpecification")
    if settings is None:
        return None
    return StreamSettings(
        document["LatestStreamArn"], document["LatestStreamLabel"], settings["StreamViewType"]
    )
