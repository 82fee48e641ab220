from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadItem(_message.Message):
    __slots__ = ("partition", "epoch", "consistent", "key")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    consistent: bool
    key: bytes
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., consistent: _Optional[bool] = ..., key: _Optional[bytes] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("code", "values_json")
    CODE_FIELD_NUMBER: _ClassVar[int]
    VALUES_JSON_FIELD_NUMBER: _ClassVar[int]
    code: bytes
    values_json: bytes
    def __init__(self, code: _Optional[bytes] = ..., values_json: _Optional[bytes] = ...) -> None: ...

class WriteItem(_message.Message):
    __slots__ = ("partition", "epoch", "kind", "returns", "want_old_on_failure", "item_size", "session", "sequence", "key", "item_json", "key_item_json", "condition", "update", "expiry_s")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[WriteItem.Kind]
        KIND_PUT: _ClassVar[WriteItem.Kind]
        KIND_DELETE: _ClassVar[WriteItem.Kind]
        KIND_UPDATE: _ClassVar[WriteItem.Kind]
        KIND_CHECK: _ClassVar[WriteItem.Kind]
    KIND_UNSPECIFIED: WriteItem.Kind
    KIND_PUT: WriteItem.Kind
    KIND_DELETE: WriteItem.Kind
    KIND_UPDATE: WriteItem.Kind
    KIND_CHECK: WriteItem.Kind
    class Returns(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RETURNS_NONE: _ClassVar[WriteItem.Returns]
        RETURNS_ALL_OLD: _ClassVar[WriteItem.Returns]
        RETURNS_UPDATED_OLD: _ClassVar[WriteItem.Returns]
        RETURNS_ALL_NEW: _ClassVar[WriteItem.Returns]
        RETURNS_UPDATED_NEW: _ClassVar[WriteItem.Returns]
        RETURNS_IMAGES: _ClassVar[WriteItem.Returns]
    RETURNS_NONE: WriteItem.Returns
    RETURNS_ALL_OLD: WriteItem.Returns
    RETURNS_UPDATED_OLD: WriteItem.Returns
    RETURNS_ALL_NEW: WriteItem.Returns
    RETURNS_UPDATED_NEW: WriteItem.Returns
    RETURNS_IMAGES: WriteItem.Returns
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RETURNS_FIELD_NUMBER: _ClassVar[int]
    WANT_OLD_ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    ITEM_SIZE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ITEM_JSON_FIELD_NUMBER: _ClassVar[int]
    KEY_ITEM_JSON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_S_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    kind: WriteItem.Kind
    returns: WriteItem.Returns
    want_old_on_failure: bool
    item_size: int
    session: int
    sequence: int
    key: bytes
    item_json: bytes
    key_item_json: bytes
    condition: Program
    update: Program
    expiry_s: int
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., kind: _Optional[_Union[WriteItem.Kind, str]] = ..., returns: _Optional[_Union[WriteItem.Returns, str]] = ..., want_old_on_failure: _Optional[bool] = ..., item_size: _Optional[int] = ..., session: _Optional[int] = ..., sequence: _Optional[int] = ..., key: _Optional[bytes] = ..., item_json: _Optional[bytes] = ..., key_item_json: _Optional[bytes] = ..., condition: _Optional[_Union[Program, _Mapping]] = ..., update: _Optional[_Union[Program, _Mapping]] = ..., expiry_s: _Optional[int] = ...) -> None: ...

class IndexUnits(_message.Message):
    __slots__ = ("kind", "name", "units_half")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNITS_HALF_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    units_half: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., units_half: _Optional[int] = ...) -> None: ...

class WriteResult(_message.Message):
    __slots__ = ("old_size", "new_size", "attributes", "index_units", "stamp")
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    INDEX_UNITS_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    old_size: int
    new_size: int
    attributes: bytes
    index_units: _containers.RepeatedCompositeFieldContainer[IndexUnits]
    stamp: int
    def __init__(self, old_size: _Optional[int] = ..., new_size: _Optional[int] = ..., attributes: _Optional[bytes] = ..., index_units: _Optional[_Iterable[_Union[IndexUnits, _Mapping]]] = ..., stamp: _Optional[int] = ...) -> None: ...

class ReadRange(_message.Message):
    __slots__ = ("partition", "epoch", "space", "low", "high", "reverse", "limit", "max_bytes", "filter", "projection", "count_only", "fetch", "consistent")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    COUNT_ONLY_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    space: int
    low: bytes
    high: bytes
    reverse: bool
    limit: int
    max_bytes: int
    filter: Program
    projection: bytes
    count_only: bool
    fetch: bool
    consistent: bool
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., space: _Optional[int] = ..., low: _Optional[bytes] = ..., high: _Optional[bytes] = ..., reverse: _Optional[bool] = ..., limit: _Optional[int] = ..., max_bytes: _Optional[int] = ..., filter: _Optional[_Union[Program, _Mapping]] = ..., projection: _Optional[bytes] = ..., count_only: _Optional[bool] = ..., fetch: _Optional[bool] = ..., consistent: _Optional[bool] = ...) -> None: ...

class RangeResult(_message.Message):
    __slots__ = ("items", "count", "scanned", "size_bytes", "fetched_sizes", "last")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FETCHED_SIZES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[bytes]
    count: int
    scanned: int
    size_bytes: int
    fetched_sizes: _containers.RepeatedScalarFieldContainer[int]
    last: bytes
    def __init__(self, items: _Optional[_Iterable[bytes]] = ..., count: _Optional[int] = ..., scanned: _Optional[int] = ..., size_bytes: _Optional[int] = ..., fetched_sizes: _Optional[_Iterable[int]] = ..., last: _Optional[bytes] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("key", "record", "stamp")
    KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    record: bytes
    stamp: int
    def __init__(self, key: _Optional[bytes] = ..., record: _Optional[bytes] = ..., stamp: _Optional[int] = ...) -> None: ...

class WriteEntries(_message.Message):
    __slots__ = ("partition", "epoch", "entries", "fence")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    fence: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., fence: _Optional[_Iterable[int]] = ...) -> None: ...

class CollectionSize(_message.Message):
    __slots__ = ("partition", "epoch", "prefix")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    prefix: bytes
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., prefix: _Optional[bytes] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("type_name", "message", "status", "namespace", "message_key", "fields_json", "conflict", "item_size")
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    ITEM_SIZE_FIELD_NUMBER: _ClassVar[int]
    type_name: str
    message: str
    status: int
    namespace: str
    message_key: str
    fields_json: bytes
    conflict: bool
    item_size: int
    def __init__(self, type_name: _Optional[str] = ..., message: _Optional[str] = ..., status: _Optional[int] = ..., namespace: _Optional[str] = ..., message_key: _Optional[str] = ..., fields_json: _Optional[bytes] = ..., conflict: _Optional[bool] = ..., item_size: _Optional[int] = ...) -> None: ...

class TransactWrite(_message.Message):
    __slots__ = ("partition", "epoch", "txid", "digest", "actions")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TXID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    txid: bytes
    digest: bytes
    actions: _containers.RepeatedCompositeFieldContainer[WriteItem]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., txid: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., actions: _Optional[_Iterable[_Union[WriteItem, _Mapping]]] = ...) -> None: ...

class TransactPrepare(_message.Message):
    __slots__ = ("partition", "epoch", "txid", "stamp", "marker", "actions")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TXID_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    MARKER_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    txid: bytes
    stamp: int
    marker: bytes
    actions: _containers.RepeatedCompositeFieldContainer[WriteItem]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., txid: _Optional[bytes] = ..., stamp: _Optional[int] = ..., marker: _Optional[bytes] = ..., actions: _Optional[_Iterable[_Union[WriteItem, _Mapping]]] = ...) -> None: ...

class TransactFinish(_message.Message):
    __slots__ = ("partition", "epoch", "txid", "commit", "hashes")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TXID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    txid: bytes
    commit: bool
    hashes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., txid: _Optional[bytes] = ..., commit: _Optional[bool] = ..., hashes: _Optional[_Iterable[int]] = ...) -> None: ...

class TransactRead(_message.Message):
    __slots__ = ("partition", "epoch", "keys")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TransactOutcome(_message.Message):
    __slots__ = ("verdict", "stamp", "results")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[TransactOutcome.Verdict]
        VERDICT_DONE: _ClassVar[TransactOutcome.Verdict]
        VERDICT_REPEATED: _ClassVar[TransactOutcome.Verdict]
        VERDICT_REFUSED: _ClassVar[TransactOutcome.Verdict]
        VERDICT_LATE: _ClassVar[TransactOutcome.Verdict]
        VERDICT_AHEAD: _ClassVar[TransactOutcome.Verdict]
        VERDICT_MISMATCH: _ClassVar[TransactOutcome.Verdict]
    VERDICT_UNSPECIFIED: TransactOutcome.Verdict
    VERDICT_DONE: TransactOutcome.Verdict
    VERDICT_REPEATED: TransactOutcome.Verdict
    VERDICT_REFUSED: TransactOutcome.Verdict
    VERDICT_LATE: TransactOutcome.Verdict
    VERDICT_AHEAD: TransactOutcome.Verdict
    VERDICT_MISMATCH: TransactOutcome.Verdict
    class Result(_message.Message):
        __slots__ = ("written", "refused")
        WRITTEN_FIELD_NUMBER: _ClassVar[int]
        REFUSED_FIELD_NUMBER: _ClassVar[int]
        written: WriteResult
        refused: Failure
        def __init__(self, written: _Optional[_Union[WriteResult, _Mapping]] = ..., refused: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    verdict: TransactOutcome.Verdict
    stamp: int
    results: _containers.RepeatedCompositeFieldContainer[TransactOutcome.Result]
    def __init__(self, verdict: _Optional[_Union[TransactOutcome.Verdict, str]] = ..., stamp: _Optional[int] = ..., results: _Optional[_Iterable[_Union[TransactOutcome.Result, _Mapping]]] = ...) -> None: ...

class TransactVersions(_message.Message):
    __slots__ = ("partition", "deletes", "versions")
    class Version(_message.Message):
        __slots__ = ("record", "locked")
        RECORD_FIELD_NUMBER: _ClassVar[int]
        LOCKED_FIELD_NUMBER: _ClassVar[int]
        record: bytes
        locked: bool
        def __init__(self, record: _Optional[bytes] = ..., locked: _Optional[bool] = ...) -> None: ...
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    DELETES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    deletes: int
    versions: _containers.RepeatedCompositeFieldContainer[TransactVersions.Version]
    def __init__(self, partition: _Optional[int] = ..., deletes: _Optional[int] = ..., versions: _Optional[_Iterable[_Union[TransactVersions.Version, _Mapping]]] = ...) -> None: ...

class ReadShards(_message.Message):
    __slots__ = ("partition", "epoch", "lo", "label")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    lo: int
    label: str
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., lo: _Optional[int] = ..., label: _Optional[str] = ...) -> None: ...

class ReadRecords(_message.Message):
    __slots__ = ("partition", "epoch", "lo", "shard", "after", "limit", "max_bytes", "wait_ms")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    lo: int
    shard: str
    after: bytes
    limit: int
    max_bytes: int
    wait_ms: int
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., lo: _Optional[int] = ..., shard: _Optional[str] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., max_bytes: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class LocateRecord(_message.Message):
    __slots__ = ("partition", "epoch", "lo", "shard", "at_ms")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    lo: int
    shard: str
    at_ms: int
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., lo: _Optional[int] = ..., shard: _Optional[str] = ..., at_ms: _Optional[int] = ...) -> None: ...

class RecordPage(_message.Message):
    __slots__ = ("after", "ended", "records")
    class Record(_message.Message):
        __slots__ = ("sequence", "value")
        SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        sequence: bytes
        value: bytes
        def __init__(self, sequence: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    after: bytes
    ended: bool
    records: _containers.RepeatedCompositeFieldContainer[RecordPage.Record]
    def __init__(self, after: _Optional[bytes] = ..., ended: _Optional[bool] = ..., records: _Optional[_Iterable[_Union[RecordPage.Record, _Mapping]]] = ...) -> None: ...

class ApplyReplicated(_message.Message):
    __slots__ = ("partition", "epoch", "source", "keys", "records")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    epoch: int
    source: str
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    records: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, partition: _Optional[int] = ..., epoch: _Optional[int] = ..., source: _Optional[str] = ..., keys: _Optional[_Iterable[bytes]] = ..., records: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReplicatedOutcome(_message.Message):
    __slots__ = ("outcomes", "now")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    outcomes: bytes
    now: int
    def __init__(self, outcomes: _Optional[bytes] = ..., now: _Optional[int] = ...) -> None: ...
