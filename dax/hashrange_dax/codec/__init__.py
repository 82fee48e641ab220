"""The encoding of the DAX protocol, without a connection: bytes to documents of the DynamoDB API, and back.

    scanner       how many complete values a growing buffer holds
    cbor          CBOR (RFC 7049): reading one value, and writing heads, numbers and strings
    lexdecimal    numbers as bytes that order as the numbers do
    values        attribute values
    keys          primary keys
    items         the attributes of an item without their names, which an attribute list has
    expressions   expressions that a client has parsed already
    projections   what a client that projects itself is sent of an item

Everything here is pure. What a peer has sent and is not understood raises `CodecError`; nothing that it sends makes
a function run long, take much memory or recurse deeply.
"""
