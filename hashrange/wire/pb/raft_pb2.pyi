from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_APPEND: _ClassVar[Kind]
    KIND_APPEND_REPLY: _ClassVar[Kind]
    KIND_HEARTBEAT: _ClassVar[Kind]
    KIND_HEARTBEAT_REPLY: _ClassVar[Kind]
    KIND_VOTE_REQUEST: _ClassVar[Kind]
    KIND_VOTE_REPLY: _ClassVar[Kind]
    KIND_INSTALL_SNAPSHOT: _ClassVar[Kind]
    KIND_TIMEOUT_NOW: _ClassVar[Kind]
KIND_UNSPECIFIED: Kind
KIND_APPEND: Kind
KIND_APPEND_REPLY: Kind
KIND_HEARTBEAT: Kind
KIND_HEARTBEAT_REPLY: Kind
KIND_VOTE_REQUEST: Kind
KIND_VOTE_REPLY: Kind
KIND_INSTALL_SNAPSHOT: Kind
KIND_TIMEOUT_NOW: Kind

class Message(_message.Message):
    __slots__ = ("group", "kind", "sender", "to", "term", "index", "log_term", "commit", "commit_term", "round", "rejected", "hint_index", "hint_term", "needs_snapshot", "quiesce", "quiesced", "pre", "transfer", "granted", "healthy", "lease_ticks", "terms", "kinds", "sizes", "data", "configuration", "snapshot_data")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_TERM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TERM_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    HINT_INDEX_FIELD_NUMBER: _ClassVar[int]
    HINT_TERM_FIELD_NUMBER: _ClassVar[int]
    NEEDS_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    QUIESCE_FIELD_NUMBER: _ClassVar[int]
    QUIESCED_FIELD_NUMBER: _ClassVar[int]
    PRE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    LEASE_TICKS_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_DATA_FIELD_NUMBER: _ClassVar[int]
    group: int
    kind: Kind
    sender: int
    to: int
    term: int
    index: int
    log_term: int
    commit: int
    commit_term: int
    round: int
    rejected: bool
    hint_index: int
    hint_term: int
    needs_snapshot: bool
    quiesce: bool
    quiesced: bool
    pre: bool
    transfer: bool
    granted: bool
    healthy: bool
    lease_ticks: int
    terms: _containers.RepeatedScalarFieldContainer[int]
    kinds: _containers.RepeatedScalarFieldContainer[int]
    sizes: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    configuration: bytes
    snapshot_data: bytes
    def __init__(self, group: _Optional[int] = ..., kind: _Optional[_Union[Kind, str]] = ..., sender: _Optional[int] = ..., to: _Optional[int] = ..., term: _Optional[int] = ..., index: _Optional[int] = ..., log_term: _Optional[int] = ..., commit: _Optional[int] = ..., commit_term: _Optional[int] = ..., round: _Optional[int] = ..., rejected: _Optional[bool] = ..., hint_index: _Optional[int] = ..., hint_term: _Optional[int] = ..., needs_snapshot: _Optional[bool] = ..., quiesce: _Optional[bool] = ..., quiesced: _Optional[bool] = ..., pre: _Optional[bool] = ..., transfer: _Optional[bool] = ..., granted: _Optional[bool] = ..., healthy: _Optional[bool] = ..., lease_ticks: _Optional[int] = ..., terms: _Optional[_Iterable[int]] = ..., kinds: _Optional[_Iterable[int]] = ..., sizes: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., configuration: _Optional[bytes] = ..., snapshot_data: _Optional[bytes] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class SnapshotChunk(_message.Message):
    __slots__ = ("group", "replica", "stream", "number", "keys", "values", "message")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    group: int
    replica: int
    stream: int
    number: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    message: Message
    def __init__(self, group: _Optional[int] = ..., replica: _Optional[int] = ..., stream: _Optional[int] = ..., number: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., values: _Optional[_Iterable[bytes]] = ..., message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...
