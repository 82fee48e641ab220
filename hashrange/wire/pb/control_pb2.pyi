from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeTable(_message.Message):
    __slots__ = ("name", "expected", "document_json", "partition_ids")
    class Version(_message.Message):
        __slots__ = ("table_id", "generation")
        TABLE_ID_FIELD_NUMBER: _ClassVar[int]
        GENERATION_FIELD_NUMBER: _ClassVar[int]
        table_id: str
        generation: int
        def __init__(self, table_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_JSON_FIELD_NUMBER: _ClassVar[int]
    PARTITION_IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    expected: ChangeTable.Version
    document_json: bytes
    partition_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., expected: _Optional[_Union[ChangeTable.Version, _Mapping]] = ..., document_json: _Optional[bytes] = ..., partition_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ChangeDocument(_message.Message):
    __slots__ = ("kind", "name", "expected", "document_json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    expected: int
    document_json: bytes
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., expected: _Optional[int] = ..., document_json: _Optional[bytes] = ...) -> None: ...

class TableStatistics(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WhenSettled(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Totals(_message.Message):
    __slots__ = ("index", "items", "size_bytes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    index: str
    items: int
    size_bytes: int
    def __init__(self, index: _Optional[str] = ..., items: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class TableTotals(_message.Message):
    __slots__ = ("totals",)
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedCompositeFieldContainer[Totals]
    def __init__(self, totals: _Optional[_Iterable[_Union[Totals, _Mapping]]] = ...) -> None: ...

class RegisterNode(_message.Message):
    __slots__ = ("node", "az", "address", "admin", "incarnation", "cluster")
    NODE_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ADMIN_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    node: int
    az: str
    address: str
    admin: str
    incarnation: str
    cluster: str
    def __init__(self, node: _Optional[int] = ..., az: _Optional[str] = ..., address: _Optional[str] = ..., admin: _Optional[str] = ..., incarnation: _Optional[str] = ..., cluster: _Optional[str] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("entries", "size_bytes")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    entries: int
    size_bytes: int
    def __init__(self, entries: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GroupReport(_message.Message):
    __slots__ = ("partition", "replica", "role", "term", "applied", "voters", "learners", "joint", "behind", "counts", "size_bytes", "reads_per_s", "writes_per_s", "damaged", "split_applied", "queued", "heat_at")
    class BehindEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Counts
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Counts, _Mapping]] = ...) -> None: ...
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    JOINT_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    READS_PER_S_FIELD_NUMBER: _ClassVar[int]
    WRITES_PER_S_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    SPLIT_APPLIED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    HEAT_AT_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replica: int
    role: str
    term: int
    applied: int
    voters: _containers.RepeatedScalarFieldContainer[int]
    learners: _containers.RepeatedScalarFieldContainer[int]
    joint: bool
    behind: _containers.ScalarMap[int, int]
    counts: _containers.MessageMap[int, Counts]
    size_bytes: int
    reads_per_s: float
    writes_per_s: float
    damaged: str
    split_applied: bool
    queued: int
    heat_at: int
    def __init__(self, partition: _Optional[int] = ..., replica: _Optional[int] = ..., role: _Optional[str] = ..., term: _Optional[int] = ..., applied: _Optional[int] = ..., voters: _Optional[_Iterable[int]] = ..., learners: _Optional[_Iterable[int]] = ..., joint: _Optional[bool] = ..., behind: _Optional[_Mapping[int, int]] = ..., counts: _Optional[_Mapping[int, Counts]] = ..., size_bytes: _Optional[int] = ..., reads_per_s: _Optional[float] = ..., writes_per_s: _Optional[float] = ..., damaged: _Optional[str] = ..., split_applied: _Optional[bool] = ..., queued: _Optional[int] = ..., heat_at: _Optional[int] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("node", "generation", "disk_free_bytes", "cpu_seconds", "groups")
    NODE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    node: int
    generation: int
    disk_free_bytes: int
    cpu_seconds: float
    groups: _containers.RepeatedCompositeFieldContainer[GroupReport]
    def __init__(self, node: _Optional[int] = ..., generation: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., groups: _Optional[_Iterable[_Union[GroupReport, _Mapping]]] = ...) -> None: ...

class WorkDone(_message.Message):
    __slots__ = ("table", "table_id", "partition", "what")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    table: str
    table_id: str
    partition: int
    what: str
    def __init__(self, table: _Optional[str] = ..., table_id: _Optional[str] = ..., partition: _Optional[int] = ..., what: _Optional[str] = ...) -> None: ...

class ChangeMembers(_message.Message):
    __slots__ = ("partition", "learners", "voters", "remove")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    partition: int
    learners: _containers.RepeatedScalarFieldContainer[int]
    voters: _containers.RepeatedScalarFieldContainer[int]
    remove: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partition: _Optional[int] = ..., learners: _Optional[_Iterable[int]] = ..., voters: _Optional[_Iterable[int]] = ..., remove: _Optional[_Iterable[int]] = ...) -> None: ...

class TransferLeader(_message.Message):
    __slots__ = ("partition", "replica")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replica: int
    def __init__(self, partition: _Optional[int] = ..., replica: _Optional[int] = ...) -> None: ...

class SplitPartition(_message.Message):
    __slots__ = ("partition", "at", "children")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    partition: int
    at: int
    children: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partition: _Optional[int] = ..., at: _Optional[int] = ..., children: _Optional[_Iterable[int]] = ...) -> None: ...

class SplitHint(_message.Message):
    __slots__ = ("partition",)
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    def __init__(self, partition: _Optional[int] = ...) -> None: ...

class ClusterCommand(_message.Message):
    __slots__ = ("verb", "arguments_json")
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    verb: str
    arguments_json: bytes
    def __init__(self, verb: _Optional[str] = ..., arguments_json: _Optional[bytes] = ...) -> None: ...

class ClusterStatus(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchCatalogue(_message.Message):
    __slots__ = ("after_index",)
    AFTER_INDEX_FIELD_NUMBER: _ClassVar[int]
    after_index: int
    def __init__(self, after_index: _Optional[int] = ...) -> None: ...

class CatalogueEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class CatalogueUpdate(_message.Message):
    __slots__ = ("index", "full", "entries", "after_index")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    AFTER_INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    full: bool
    entries: _containers.RepeatedCompositeFieldContainer[CatalogueEntry]
    after_index: int
    def __init__(self, index: _Optional[int] = ..., full: _Optional[bool] = ..., entries: _Optional[_Iterable[_Union[CatalogueEntry, _Mapping]]] = ..., after_index: _Optional[int] = ...) -> None: ...

class ScrubReport(_message.Message):
    __slots__ = ("partition", "replica", "round", "index", "entries", "checksum", "error")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replica: int
    round: int
    index: int
    entries: int
    checksum: int
    error: str
    def __init__(self, partition: _Optional[int] = ..., replica: _Optional[int] = ..., round: _Optional[int] = ..., index: _Optional[int] = ..., entries: _Optional[int] = ..., checksum: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class ReplicaDamaged(_message.Message):
    __slots__ = ("partition", "replica", "reason")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replica: int
    reason: str
    def __init__(self, partition: _Optional[int] = ..., replica: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Bootstrap(_message.Message):
    __slots__ = ("cluster", "members", "commit", "record_json")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    RECORD_JSON_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    members: _containers.RepeatedScalarFieldContainer[int]
    commit: bool
    record_json: bytes
    def __init__(self, cluster: _Optional[str] = ..., members: _Optional[_Iterable[int]] = ..., commit: _Optional[bool] = ..., record_json: _Optional[bytes] = ...) -> None: ...

class CapacityNeed(_message.Message):
    __slots__ = ("table", "index", "read_used", "write_used", "read_left", "write_left", "read_refused", "write_refused")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    READ_USED_FIELD_NUMBER: _ClassVar[int]
    WRITE_USED_FIELD_NUMBER: _ClassVar[int]
    READ_LEFT_FIELD_NUMBER: _ClassVar[int]
    WRITE_LEFT_FIELD_NUMBER: _ClassVar[int]
    READ_REFUSED_FIELD_NUMBER: _ClassVar[int]
    WRITE_REFUSED_FIELD_NUMBER: _ClassVar[int]
    table: str
    index: str
    read_used: int
    write_used: int
    read_left: int
    write_left: int
    read_refused: int
    write_refused: int
    def __init__(self, table: _Optional[str] = ..., index: _Optional[str] = ..., read_used: _Optional[int] = ..., write_used: _Optional[int] = ..., read_left: _Optional[int] = ..., write_left: _Optional[int] = ..., read_refused: _Optional[int] = ..., write_refused: _Optional[int] = ...) -> None: ...

class CapacityReport(_message.Message):
    __slots__ = ("router", "number", "needs")
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    router: str
    number: int
    needs: _containers.RepeatedCompositeFieldContainer[CapacityNeed]
    def __init__(self, router: _Optional[str] = ..., number: _Optional[int] = ..., needs: _Optional[_Iterable[_Union[CapacityNeed, _Mapping]]] = ...) -> None: ...
