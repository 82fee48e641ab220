// The runtime of Node functions: takes events from the Runtime API and runs the handler, one at a time.
//
//   node node.mjs index.handler        (with the environment that the service gives a function)
//
// Handlers are CommonJS or ES modules; async, returning a value or a promise, or with a callback; or streaming
// through awslambda.streamifyResponse. What they write with console.* is one entry of the log each.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const PREFIX = "/2018-06-01/runtime";
const ANSWER_BYTES_MAX = 6 * 1024 * 1024 + 100;
const STREAMING = Symbol("streaming");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1, noDelay: true });

let current = null; // the invocation that is running

// The Runtime API.

function call(method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const options = { host, port, method, path: PREFIX + target, agent, headers };
    if (body !== undefined) options.headers = { "Content-Length": Buffer.byteLength(body), ...headers };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

function describe(error) {
  if (error instanceof Error || (error && typeof error === "object" && "stack" in error)) {
    const trace = String(error.stack ?? "").split("\n");
    return { errorType: error.name ?? "Error", errorMessage: error.message ?? "", trace };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

// The name of an error, which may be anything, as the value of a header.
function kindOf(error) {
  return String(error?.name ?? "Error").replace(/[^\x21-\x7e]/g, "?");
}

function post(target, error, type) {
  const document = JSON.stringify(describe(error));
  const headers = { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": type ?? kindOf(error) };
  return call("POST", target, document, headers);
}

// The log.

function write(level, args) {
  const text = format(...args).replaceAll("\n", "\r");
  emit(`${new Date().toISOString()}\t${current?.id ?? "undefined"}\t${level}\t${text}\n`);
}

function emit(line) {
  let data = Buffer.from(line);
  while (data.length) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (error) {
      if (error.code !== "EAGAIN") return;
    }
  }
}

const LEVELS = { log: "INFO", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG", trace: "TRACE" };
for (const [name, level] of Object.entries(LEVELS)) console[name] = (...args) => write(level, args);

function logError(kind, error) {
  emit(`${new Date().toISOString()}\t${current?.id ?? "undefined"}\tERROR\t${kind}\t${JSON.stringify(describe(error))}\n`);
}

// Streaming.

class ResponseStream extends Writable {
  // The request is opened by the first byte: a handler that fails before it fails like any other.
  constructor(id) {
    super();
    this.target = `${PREFIX}/invocation/${id}/response`;
    this.contentType = "application/octet-stream";
    this.request = null;
    this.answered = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.answered.catch(() => {});
  }

  setContentType(type) {
    this.contentType = type;
  }

  open() {
    if (this.request) return this.request;
    const headers = {
      "Content-Type": this.contentType,
      "Lambda-Runtime-Function-Response-Mode": "streaming",
      "Transfer-Encoding": "chunked",
      Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    };
    this.request = http.request({ host, port, method: "POST", path: this.target, agent, headers }, (response) => {
      response.resume();
      response.on("end", this.resolve);
    });
    this.request.on("error", this.reject);
    return this.request;
  }

  _write(chunk, encoding, done) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding);
    this.open().write(bytes, done);
  }

  _final(done) {
    this.open().end(done);
  }

  breakOff(error) {
    const body = Buffer.from(JSON.stringify(describe(error))).toString("base64");
    this.request.addTrailers({
      "Lambda-Runtime-Function-Error-Type": kindOf(error),
      "Lambda-Runtime-Function-Error-Body": body,
    });
    this.request.end();
  }
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMING] = true;
    return handler;
  },
  HttpResponseStream: {
    from(stream, metadata) {
      stream.setContentType("application/vnd.awslambda.http-integration-response");
      stream.write(JSON.stringify(metadata));
      stream.write(new Uint8Array(8)); // separates the head from the body
      return stream;
    },
  },
};

// The handler.

function named(kind, message) {
  const error = new Error(message);
  error.name = kind;
  error.stack = `${kind}: ${message}`;
  return error;
}

async function load(specification) {
  const base = path.basename(specification);
  const dot = base.indexOf(".");
  if (dot <= 0) throw named("Runtime.MalformedHandlerName", "Bad handler");
  const names = base.slice(dot + 1).split(".");
  const module = path.join(path.dirname(specification), base.slice(0, dot));
  const root = path.resolve(process.env.LAMBDA_TASK_ROOT, module);
  const file = [".js", ".mjs", ".cjs", "/index.js", "/index.mjs"].map((end) => root + end).find((name) => fs.existsSync(name));
  if (!file) throw named("Runtime.ImportModuleError", `Error: Cannot find module '${module}'`);
  let exported;
  try {
    exported = await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) {
      error.name = "Runtime.UserCodeSyntaxError";
      error.message = `SyntaxError: ${error.message}`;
    } else if (error?.code === "ERR_MODULE_NOT_FOUND" || error?.code === "MODULE_NOT_FOUND") {
      error.name = "Runtime.ImportModuleError";
      error.message = `Error: ${error.message}`;
    }
    throw error;
  }
  const find = (from) => names.reduce((value, name) => value?.[name], from);
  const handler = find(exported) ?? find(exported.default);
  if (handler === undefined) throw named("Runtime.HandlerNotFound", `${specification} is undefined or not exported`);
  if (typeof handler !== "function") throw named("Runtime.HandlerNotFound", `${specification} is not a function`);
  return handler;
}

function contextOf(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const client = headers["lambda-runtime-client-context"];
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    clientContext: client ? JSON.parse(client) : undefined,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    const callback = (error, value) => (error === null || error === undefined ? resolve(value) : reject(error));
    context.done = callback;
    context.succeed = (value) => resolve(value);
    context.fail = (error) => reject(error ?? new Error("handled"));
    current.giveUp = () => resolve(null);
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
    else if (handler.length < 3 && returned !== undefined) resolve(returned);
  });
}

async function answer(handler, event, context) {
  const id = context.awsRequestId;
  let body;
  try {
    const value = await run(handler, event, context);
    body = JSON.stringify(value === undefined ? null : value) ?? "null";
    if (Buffer.byteLength(body) > ANSWER_BYTES_MAX) {
      throw named("Function.ResponseSizeTooLarge", `Response payload size exceeded maximum allowed payload size (${ANSWER_BYTES_MAX} bytes).`);
    }
  } catch (error) {
    logError("Invoke Error", error);
    await post(`/invocation/${id}/error`, error);
    return;
  }
  await call("POST", `/invocation/${id}/response`, body, { "Content-Type": "application/json" });
}

async function stream(handler, event, context) {
  const response = new ResponseStream(context.awsRequestId);
  try {
    await handler(event, response, context);
    if (!response.writableEnded) response.end();
    await response.answered;
  } catch (error) {
    logError("Invoke Error", error);
    if (response.request) {
      response.breakOff(error);
      await response.answered;
    } else {
      await post(`/invocation/${context.awsRequestId}/error`, error);
    }
  }
}

async function leave(kind, error) {
  logError(kind, error);
  const target = current ? `/invocation/${current.id}/error` : "/init/error";
  await post(target, error, kind).catch(() => {});
  process.exit(current ? 129 : 1);
}

process.on("uncaughtException", (error) => leave("Uncaught Exception", error));
process.on("unhandledRejection", (reason) => {
  const error = named("Runtime.UnhandledPromiseRejection", reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason));
  if (reason instanceof Error) error.stack = reason.stack;
  leave("Unhandled Promise Rejection", error);
});
// Nothing is left to happen, and the handler has not answered: it never will.
process.on("beforeExit", () => current?.giveUp?.());

let handler;
try {
  handler = await load(process.argv[2] ?? process.env._HANDLER);
} catch (error) {
  logError("Init Error", error);
  await post("/init/error", error).catch(() => {});
  process.exit(1);
}

for (;;) {
  const next = await call("GET", "/invocation/next");
  const context = contextOf(next.headers);
  current = { id: context.awsRequestId };
  process.env._X_AMZN_TRACE_ID = next.headers["lambda-runtime-trace-id"] ?? "";
  let event;
  try {
    event = JSON.parse(next.body);
  } catch (error) {
    await post(`/invocation/${current.id}/error`, named("Runtime.UnmarshalError", `Unable to parse the event: ${error.message}`));
    continue;
  }
  await (handler[STREAMING] ? stream : answer)(handler, event, context);
  current = null;
}
