"""The DAX wire protocol without its sockets: what clients send becomes requests, answers become what they read.

methods      numbers of methods, options, members of replies
handshake    who the client is
authorize    its signature
asked        a request, with what its reply needs
options      the last argument of operations
requests     arguments to documents of the API
replies      answers to bytes
capacity     ConsumedCapacity and ItemCollectionMetrics
errors       error replies
quick        the short way of a GetItem that is cached
    quick_query  the same for Query and Scan
"""
