from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FrameKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_UNSPECIFIED: _ClassVar[FrameKind]
    FRAME_HELLO: _ClassVar[FrameKind]
    FRAME_REFUSED: _ClassVar[FrameKind]
    FRAME_PING: _ClassVar[FrameKind]
    FRAME_PONG: _ClassVar[FrameKind]
    FRAME_REQUEST: _ClassVar[FrameKind]
    FRAME_REPLY: _ClassVar[FrameKind]
    FRAME_CAST: _ClassVar[FrameKind]

class MessageType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_UNSPECIFIED: _ClassVar[MessageType]
    READ_ITEM: _ClassVar[MessageType]
    WRITE_ITEM: _ClassVar[MessageType]
    READ_RANGE: _ClassVar[MessageType]
    WRITE_ENTRIES: _ClassVar[MessageType]
    COLLECTION_SIZE: _ClassVar[MessageType]
    TRANSACT_WRITE: _ClassVar[MessageType]
    TRANSACT_PREPARE: _ClassVar[MessageType]
    TRANSACT_FINISH: _ClassVar[MessageType]
    TRANSACT_READ: _ClassVar[MessageType]
    READ_SHARDS: _ClassVar[MessageType]
    READ_RECORDS: _ClassVar[MessageType]
    LOCATE_RECORD: _ClassVar[MessageType]
    APPLY_REPLICATED: _ClassVar[MessageType]
    RAFT_BATCH: _ClassVar[MessageType]
    SNAPSHOT_CHUNK: _ClassVar[MessageType]
    CHANGE_TABLE: _ClassVar[MessageType]
    TABLE_STATISTICS: _ClassVar[MessageType]
    WHEN_SETTLED: _ClassVar[MessageType]
    REGISTER_NODE: _ClassVar[MessageType]
    NODE_REPORT: _ClassVar[MessageType]
    WORK_DONE: _ClassVar[MessageType]
    CHANGE_MEMBERS: _ClassVar[MessageType]
    TRANSFER_LEADER: _ClassVar[MessageType]
    SPLIT_PARTITION: _ClassVar[MessageType]
    SPLIT_HINT: _ClassVar[MessageType]
    CLUSTER_COMMAND: _ClassVar[MessageType]
    CLUSTER_STATUS: _ClassVar[MessageType]
    WATCH_CATALOGUE: _ClassVar[MessageType]
    CATALOGUE_UPDATE: _ClassVar[MessageType]
    BOOTSTRAP: _ClassVar[MessageType]
    SCRUB_REPORT: _ClassVar[MessageType]
    REPLICA_DAMAGED: _ClassVar[MessageType]
    CAPACITY_REPORT: _ClassVar[MessageType]
    CHANGE_DOCUMENT: _ClassVar[MessageType]

class AnswerType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_UNSPECIFIED: _ClassVar[AnswerType]
    ANSWER_NOTHING: _ClassVar[AnswerType]
    ANSWER_RECORD: _ClassVar[AnswerType]
    ANSWER_WRITE_RESULT: _ClassVar[AnswerType]
    ANSWER_RANGE_RESULT: _ClassVar[AnswerType]
    ANSWER_NUMBER: _ClassVar[AnswerType]
    ANSWER_FAILURE: _ClassVar[AnswerType]
    ANSWER_JSON: _ClassVar[AnswerType]
    ANSWER_TABLE_TOTALS: _ClassVar[AnswerType]
    ANSWER_TRANSACT_OUTCOME: _ClassVar[AnswerType]
    ANSWER_TRANSACT_VERSIONS: _ClassVar[AnswerType]
    ANSWER_RECORD_PAGE: _ClassVar[AnswerType]
    ANSWER_REPLICATED_OUTCOME: _ClassVar[AnswerType]
FRAME_UNSPECIFIED: FrameKind
FRAME_HELLO: FrameKind
FRAME_REFUSED: FrameKind
FRAME_PING: FrameKind
FRAME_PONG: FrameKind
FRAME_REQUEST: FrameKind
FRAME_REPLY: FrameKind
FRAME_CAST: FrameKind
MESSAGE_UNSPECIFIED: MessageType
READ_ITEM: MessageType
WRITE_ITEM: MessageType
READ_RANGE: MessageType
WRITE_ENTRIES: MessageType
COLLECTION_SIZE: MessageType
TRANSACT_WRITE: MessageType
TRANSACT_PREPARE: MessageType
TRANSACT_FINISH: MessageType
TRANSACT_READ: MessageType
READ_SHARDS: MessageType
READ_RECORDS: MessageType
LOCATE_RECORD: MessageType
APPLY_REPLICATED: MessageType
RAFT_BATCH: MessageType
SNAPSHOT_CHUNK: MessageType
CHANGE_TABLE: MessageType
TABLE_STATISTICS: MessageType
WHEN_SETTLED: MessageType
REGISTER_NODE: MessageType
NODE_REPORT: MessageType
WORK_DONE: MessageType
CHANGE_MEMBERS: MessageType
TRANSFER_LEADER: MessageType
SPLIT_PARTITION: MessageType
SPLIT_HINT: MessageType
CLUSTER_COMMAND: MessageType
CLUSTER_STATUS: MessageType
WATCH_CATALOGUE: MessageType
CATALOGUE_UPDATE: MessageType
BOOTSTRAP: MessageType
SCRUB_REPORT: MessageType
REPLICA_DAMAGED: MessageType
CAPACITY_REPORT: MessageType
CHANGE_DOCUMENT: MessageType
ANSWER_UNSPECIFIED: AnswerType
ANSWER_NOTHING: AnswerType
ANSWER_RECORD: AnswerType
ANSWER_WRITE_RESULT: AnswerType
ANSWER_RANGE_RESULT: AnswerType
ANSWER_NUMBER: AnswerType
ANSWER_FAILURE: AnswerType
ANSWER_JSON: AnswerType
ANSWER_TABLE_TOTALS: AnswerType
ANSWER_TRANSACT_OUTCOME: AnswerType
ANSWER_TRANSACT_VERSIONS: AnswerType
ANSWER_RECORD_PAGE: AnswerType
ANSWER_REPLICATED_OUTCOME: AnswerType

class Hello(_message.Message):
    __slots__ = ("protocol", "cluster", "kind", "id", "incarnation", "process", "az", "expected")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    AZ_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    cluster: str
    kind: str
    id: int
    incarnation: str
    process: int
    az: str
    expected: int
    def __init__(self, protocol: _Optional[int] = ..., cluster: _Optional[str] = ..., kind: _Optional[str] = ..., id: _Optional[int] = ..., incarnation: _Optional[str] = ..., process: _Optional[int] = ..., az: _Optional[str] = ..., expected: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
