"""The AWS Lambda API on the router's port: functions, their versions and aliases, event source mappings, Invoke.

    directory = Directory(context, random.Random().random)      # directory.py: contracts.FunctionDirectory
    packages = TablePackages(client, now=context.now)            # packages.py: contracts.CodeStore
    service = lambda_service(context, client, directory=directory, packages=packages, invoker=pool, events=queue)
    dispatcher.serve_rest(service)                               # service.py

`client` is the `LocalClient` of the process; `invoker` may be the pool of this process, or what reaches pools
elsewhere; `events` is the durable queue. Every process of a cluster may serve the API and have a directory: what
users configure lies in control documents, which all of them follow; packages lie in the system table of the pools.
"""
