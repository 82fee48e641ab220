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

class TableStatistics(_message.Message):
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
